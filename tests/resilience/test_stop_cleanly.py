import asyncio
import os
import signal
from threading import Thread, Timer
from time import monotonic
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Pending, Running
from prefect.workers.process import ProcessWorker
from prefect_kubernetes.worker import (
    KubernetesWorker,
    KubernetesWorkerJobConfiguration,
)

from tests.book import ROOT
from tests.observe import settles
from tests.programs import python, tool

NAME = "stop-cleanly"
BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
# Each file that it writes says who its process is, and who started that one.
LOADS = """
import os
import time
from pathlib import Path
from threading import current_thread

from prefect import flow, task

def tell(what, *words):
    new = Path(__file__).with_name("new " + what)
    new.write_text(" ".join(words) or f"{os.getpid()} {os.getppid()}")
    new.rename(Path(__file__).with_name(what))

def work(name):
    tell(f"{name} begins")
    try:
        time.sleep(600)
    except Exception:
        tell(f"{name}: except")
    except BaseException as error:
        thread = current_thread().name
        tell(f"{name}: error", type(error).__name__, thread)
        raise
    finally:
        tell(f"{name}: finally")

def hook(flow, flow_run, state):
    tell(f"{flow.name}: hook")

@flow(on_cancellation=[hook])
def load():
    work("load")

@flow(on_cancellation=[hook])
def submit():
    try:
        task(work).submit("task").wait()
    finally:
        tell("submit: finally")
"""


@pytest.fixture
def told(tmp_path):
    """Read what the flows of a work pool told: by default their processes."""

    def words(what):
        file = tmp_path / what
        return file.read_text().split() if file.exists() else []

    return words


@pytest.fixture
def create_run(api, tmp_path):
    """Create runs in a work pool that no worker looks at yet."""
    (tmp_path / "loads.py").write_text(LOADS)
    api.create_work_pool(WorkPoolCreate(name=NAME, type="process"), True)
    deployments = set()

    def create(name):
        here = flow.from_source(str(tmp_path), f"loads.py:{name}")
        deployment = here.deploy(
            NAME, work_pool_name=NAME, print_next_steps=False
        )
        deployments.add(deployment)
        return api.create_flow_run_from_deployment(deployment)

    yield create
    for deployment in deployments:
        api.delete_deployment(deployment)
    api.delete_work_pool(NAME)


def state_of(api, run):
    return api.read_flow_run(run.id).state.name


def is_at_work(pid):
    return tool("ps", "-o", "stat=", "-p", pid).stdout[:1] not in ("", "Z")


@pytest.fixture
def terminated(caplog, api):
    """Call what runs a flow that gets SIGTERM, and give its run's state."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)

    def state_after(call):
        with pytest.raises(TerminationSignal):
            call()
        run_id = caplog.text.split("/flow-run/")[1].split()[0]
        return api.read_flow_run(run_id).state

    yield state_after
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def terminate(monkeypatch, terminated):
    """Call a load that gets SIGTERM at work, and give its run's state."""

    def state_after(program, lock):
        def sigterm(_):
            os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(program, "time", SimpleNamespace(sleep=sigterm))
            return terminated(lambda: program.load_orders(str(lock), 600))

    return state_after


def test_except_exception_does_not_see_the_signal(dont, terminate, tmp_path):
    """A cancelled run gets a BaseException, which a clause for Exception does
    not catch, so clean-up that stands there is left out.
    """
    lock = tmp_path / "orders.lock"
    state = terminate(dont, lock)

    assert state.name == "Crashed"
    assert state.message == "Execution was aborted by a termination signal."
    assert lock.exists()
    after = dont.load_orders(str(lock), 0, return_state=True)
    assert "FileExistsError: [Errno 17] File exists" in after.message


def test_finally_runs_when_the_signal_comes(do, terminate, tmp_path):
    """A `finally` runs when the signal comes, and also when the work ends well
    or fails.
    """
    lock = tmp_path / "orders.lock"

    assert terminate(do, lock).name == "Crashed"
    assert not lock.exists()
    for seconds, state in (0, "Completed"), (-1, "Failed"):
        after = do.load_orders(str(lock), seconds, return_state=True)
        assert after.name == state
        assert not lock.exists()
    lock.touch()
    refused = do.load_orders(str(lock), 0, return_state=True)
    assert "FileExistsError" in refused.message
    assert lock.exists()


def test_an_async_flow_gets_a_cancelled_error(terminated):
    """It is a `BaseException` like `KeyboardInterrupt`, and so is the
    `CancelledError` that an async flow gets, so `except Exception` sees
    neither.
    """
    seen = []

    @flow
    async def load_orders():
        Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            await asyncio.sleep(600)
        except BaseException as error:
            seen.append(type(error))
            raise

    assert terminated(lambda: asyncio.run(load_orders())).name == "Crashed"
    assert seen == [asyncio.CancelledError]
    for error in TerminationSignal, asyncio.CancelledError, KeyboardInterrupt:
        assert issubclass(error, BaseException)
        assert not issubclass(error, Exception)


def test_a_worker_ends_its_runs_and_kills_them_after_30_seconds(
    api, create_run, told
):
    """A cancelled run gets a BaseException, which a clause for Exception does
    not catch, so clean-up that stands there is left out.

    The worker or `serve` that started the run sends SIGTERM to its process.
    There, Prefect raises a `TerminationSignal` in the main thread.

    If the process is still there after 30 seconds, it is killed. So it is with
    a task that was submitted: it runs in a thread, where no signal reaches it,
    and its `finally` never runs.

    An `on_cancellation` hook runs when the process has gone, so it knows the
    run but none of its variables. It also runs after a kill.
    """
    runs = [create_run(name) for name in ("load", "submit")]

    def cancel():
        for name in "load", "task":
            settles(lambda n=name: len(told(f"{n} begins")), 2, seconds=60)
        start = monotonic()
        for run in runs:
            api.set_flow_run_state(run.id, Cancelling())
        for run in runs:
            settles(lambda r=run: state_of(api, r), "Cancelled", seconds=60)
        assert monotonic() - start > 30

    async def work():
        worker = ProcessWorker(NAME).start(run_once=True)
        await asyncio.gather(worker, asyncio.to_thread(cancel))

    asyncio.run(work())
    assert told("load: finally") == told("load begins")
    assert told("load: error") == ["TerminationSignal", "MainThread"]
    assert not told("load: except")
    assert told("submit: finally") == told("task begins")
    assert not told("task: finally")
    for name in "load", "submit":
        assert told(f"{name}: hook")[0] != told(f"{name}: finally")[0]


def test_a_variable_says_whether_sigterm_reaches_the_flow(
    api, create_run, told, table, tmp_path
):
    """The signal reaches `prefect flow-run execute`. What that does is up to
    the variable `PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR`:

    A `finally` does not run after a `kill -9`.
    """
    rows = []
    for behavior in None, "reschedule":
        run = create_run("load")
        api.set_flow_run_state(run.id, Pending())
        ended = []

        def execute(run=run, behavior=behavior, ended=ended):
            command = ("-m", "prefect", "flow-run", "execute", run.id)
            told_to = {BEHAVIOR: behavior}
            ended.append(python(*command, cwd=tmp_path, **told_to).returncode)

        container = Thread(target=execute)
        container.start()
        settles(lambda: len(told("load begins")), 2, seconds=60)
        flow_pid, pid = told("load begins")
        os.kill(int(pid), signal.SIGTERM)
        container.join()
        if is_at_work(flow_pid):
            os.kill(int(flow_pid), signal.SIGKILL)
            settles(lambda pid=flow_pid: is_at_work(pid), False)
        rows.append(
            [
                f"`{behavior}`" if behavior else "not set",
                f"{ended[0]}",
                f"`{state_of(api, run)}`",
                "runs" if told("load: finally") else "does not run",
                "runs" if told("load: hook") else "does not run",
            ]
        )
        (tmp_path / "load begins").unlink()

    head = ["The variable", "Exit code", "State of the run", "`finally`"]
    table("behavior.md", [*head, "`on_cancellation`"], rows)


@pytest.mark.parametrize(
    ("backoff_limit", "behavior"), [(None, "reschedule"), (3, "relinquish")]
)
def test_the_kubernetes_worker_says_what_sigterm_does(backoff_limit, behavior):
    """The Kubernetes worker sets it to `reschedule`, or to `relinquish` if the
    `backoff_limit` is not 0, because then Kubernetes repeats the pod.
    """
    template = KubernetesWorker.get_default_base_job_template()
    variables = {"backoff_limit": backoff_limit} if backoff_limit else {}
    job = asyncio.run(
        KubernetesWorkerJobConfiguration.from_template_and_values(
            template, variables | {"image": "orders"}
        )
    )
    job.prepare_for_flow_run(FlowRun(flow_id=uuid4()))

    pod = job.job_manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert {"name": BEHAVIOR, "value": behavior} in container["env"]


def test_a_run_started_by_hand_stays_cancelling(api):
    """Nobody ends a run that you started by hand. Its process works on, and
    when that has ended, it is still `Cancelling`.
    """
    said = []

    @flow
    def load():
        cancel = ("-m", "prefect", "flow-run", "cancel", flow_run.id)
        said.append(python(*cancel, cwd=ROOT, COLUMNS="200").stdout)
        assert api.read_flow_run(flow_run.id).state.name == "Cancelling"
        return "all rows"

    run_id = load(return_state=True).state_details.flow_run_id
    assert said == [
        f"Flow run '{run_id}' was successfully scheduled for cancellation.\n"
    ]
    assert api.read_flow_run(run_id).state.name == "Cancelling"


def test_a_state_does_not_stop_a_process(api):
    """Look for its process first, because a state does not stop it: of a run
    that is set to `Cancelled` the process works on, and at its end the run is
    `Completed`.
    """

    @flow
    def load():
        api.set_flow_run_state(flow_run.id, Cancelled())
        assert api.read_flow_run(flow_run.id).state.name == "Cancelled"
        return "all rows"

    state = load(return_state=True)
    assert state.result() == "all rows"
    assert (
        api.read_flow_run(state.state_details.flow_run_id).state.name
        == "Completed"
    )


def test_a_run_that_stays_cancelling_holds_its_slot(api, dont):
    """The same goes for a run that is `Pending`, or whose worker has gone. A
    run that waits for its time is `Cancelled` at once.

    Then set it to `Cancelled` with `set_flow_run_state(run_id, Cancelled())` of
    a client. Until then it holds its slot of the deployment's limit.
    """
    deployment = dont.load_orders.to_deployment(NAME, concurrency_limit=1)
    deployment_id = deployment.apply()

    def run():
        return api.create_flow_run_from_deployment(
            deployment_id, parameters={"lock_file": "", "seconds": 0}
        )

    def after(run, *states):
        for state in states:
            api.set_flow_run_state(run.id, state)
        return state_of(api, run)

    try:
        stuck = run()
        assert after(stuck, Pending(), Running(), Cancelling()) == "Cancelling"
        assert after(run(), Pending()) == "AwaitingConcurrencySlot"
        assert after(stuck, Cancelled()) == "Cancelled"
        assert after(run(), Pending(), Cancelling()) == "Cancelling"
        assert after(run(), Cancelling()) == "Cancelled"
    finally:
        api.delete_deployment(deployment_id)
