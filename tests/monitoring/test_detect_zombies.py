import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from subprocess import Popen
from time import sleep

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.settings.models.flows import FlowsSettings
from prefect.states import Completed, Running

from tests.backend import free_port, patient, prefect_server
from tests.book import ROOT
from tests.observe import settles
from tests.programs import tool

# Both programs import stock.py, which runs a flow in a process of its own:
# with the first heartbeat at its start, and the second 180 seconds later.
POOL = "detect-zombies"
WITHIN = timedelta(seconds=11)  # without it, Prefect takes ten


@pytest.fixture
def automation(do):
    automation = do.create_automation(WITHIN)
    assert automation.name == "crash-stock-zombies"  # which the page pauses
    trigger = automation.trigger
    assert trigger.within == WITHIN
    assert trigger.expect == {"prefect.flow-run.*"}
    assert trigger.match_related.root == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": "count-stock",
    }
    yield
    automation.delete()


@pytest.fixture
def worker(api):
    """Start process workers, which run stock.py as a deployment."""
    api.request("POST", "/work_pools/", json={"name": POOL, "type": "process"})
    room = str(ROOT / "snippets/monitoring/detect_zombies")
    stock = flow.from_source(source=room, entrypoint="stock.py:count_stock")
    deployment = stock.deploy(
        "night",
        work_pool_name=POOL,
        parameters={"seconds": 600},
        print_next_steps=False,
    )
    workers = []

    def start(runs):
        """Start a worker, and wait until it is at work on so many runs."""
        command = ["-m", "prefect", "worker", "start", "--pool", POOL]
        process = Popen(
            [sys.executable, *command, "--limit", str(runs)],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        workers.append(process)
        ids = [run_deployment(deployment, timeout=0).id for _ in range(runs)]
        for run_id in ids:
            settles(lambda r=run_id: state_of(api, r), "Running", seconds=60)
        return (
            process,
            ids,
            tool("pgrep", "-P", str(process.pid)).stdout.split(),
        )

    yield start
    for process in workers:
        process.kill()
    api.delete_deployment(deployment)
    api.request("DELETE", f"/work_pools/{POOL}")


def state_of(api, run_id):
    return api.read_flow_run(run_id).state.name


def is_at_work(pid):
    return tool("ps", "-o", "stat=", "-p", pid).stdout[:1] not in ("", "Z")


def heartbeats(api, run_id):
    events = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run_id}"]},
    }
    found = api.request("POST", "/events/filter", json={"filter": events})
    return found.json()["total"]


def test_a_killed_run_stays_running(dont, api):
    """A process that is killed cannot say so, and the server believes its last
    word, which was Running.

    A flow sends an event, its heartbeat: the first at its start, then one every
    180 seconds. By default no automation listens.

    With the default that is 540 seconds.
    """
    frequency = FlowsSettings.model_fields["heartbeat_frequency"]
    assert frequency.default == 180 == 540 / 3
    run_id, process = dont.stock.start()
    settles(lambda: heartbeats(api, run_id), 1)
    process.kill()

    assert dont.stock.next_state(run_id, wait=3) == "Running"
    assert api.read_flow_run(run_id).end_time is None


def test_who_is_killed_decides_whether_the_run_crashes(
    dont, api, worker, table
):
    """The server knows of a run only what processes tell it, so it matters who
    gets the signal.

    A worker reports the process that it lost, but nobody reports for the
    worker.
    """
    by_hand, process = dont.stock.start()
    stopped, told = dont.stock.start()
    first, [one, other], [killed, orphan] = worker(2)
    second, [restarted], [child] = worker(1)

    process.kill()
    told.terminate()
    os.kill(int(killed), signal.SIGKILL)
    second.terminate()
    settles(lambda: state_of(api, stopped), "Crashed")
    settles(
        lambda: sorted(state_of(api, run_id) for run_id in (one, other)),
        ["Crashed", "Running"],
    )
    if state_of(api, one) == "Running":
        one, other = other, one
    first.kill()
    for ended in process, told, first, second:
        ended.wait(patient(30))

    def row(who, how, run_id, pid):
        state = f"`{state_of(api, run_id)}`"
        return [who, how, state, "at work" if is_at_work(pid) else "gone"]

    hand = "The flow's process, started by hand"
    table(
        "signals.md",
        ["Who gets the signal", "Signal", "State of the run", "The flow"],
        [
            row(hand, "SIGKILL", by_hand, str(process.pid)),
            row(hand, "SIGTERM", stopped, str(told.pid)),
            row("The flow's process under a worker", "SIGKILL", one, killed),
            row("The worker", "SIGKILL", other, orphan),
            row("The worker", "SIGTERM", restarted, child),
        ],
    )
    os.kill(int(orphan), signal.SIGKILL)


def test_silence_makes_a_killed_run_crashed_and_a_healthy_one_too(
    do, api, automation
):
    """The trigger waits for the next sign of life of each run that started.

    `for_each` counts each run alone. `expect` takes every event of the run,
    so a new state, such as `Completed`, is a sign of life too.

    A window that is shorter than the heartbeat marks healthy runs as well.

    The automation only changes the state: the process of such a run works on,
    and if it comes to its end, the run is `Completed`.

    A run that sends no heartbeats is marked too.
    """
    silent = api.create_flow_run(
        do.stock.count_stock, parameters={"seconds": 600}
    )
    api.set_flow_run_state(silent.id, Running(), force=True)
    quick, _ = do.stock.start(seconds=0)
    killed, process = do.stock.start()
    process.kill()
    healthy, working = do.stock.start(seconds=patient(60))

    for run_id in killed, healthy, silent.id:
        settles(lambda r=run_id: do.stock.state_of(r), "Crashed", seconds=40)
    assert working.poll() is None
    working.kill()
    assert api.read_flow_run(healthy).state.message == "no heartbeat"
    assert do.stock.state_of(quick) == "Completed"
    api.set_flow_run_state(healthy, Completed())
    assert do.stock.state_of(healthy) == "Completed"


def test_an_outage_of_the_server_makes_a_healthy_run_crashed(
    do, tmp_path, monkeypatch
):
    """While the server is down, it hears no heartbeats, and when it is up
    again, it counts this time as silence. So an outage that is longer than
    `within` can make healthy runs `Crashed`.
    """
    port, within = free_port(), timedelta(seconds=15)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    here = {PREFECT_API_URL: os.environ["PREFECT_API_URL"]}
    with temporary_settings(here), get_client(sync_client=True) as api:
        with prefect_server(tmp_path, port):
            do.create_automation(within)
            run_id, process = do.stock.start()
            settles(lambda: heartbeats(api, run_id), 1)
            assert state_of(api, run_id) == "Running"
        sleep(within.total_seconds())
        with prefect_server(tmp_path, port):
            up = datetime.now(UTC)
            settles(lambda: state_of(api, run_id), "Crashed")
            crashed = api.read_flow_run(run_id).state.timestamp
        assert crashed - up < within / 2
        assert process.poll() is None
        process.kill()


def test_a_heartbeat_comes_at_most_every_30_seconds():
    """For a faster answer set `PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30`, the
    least, where the flows run, and `within=timedelta(seconds=90)`.
    """
    with (
        pytest.raises(
            ValueError, match="Input should be greater than or equal to 30"
        ),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 29}),
    ):
        pass
