import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from subprocess import Popen
from threading import Event

import pytest
from prefect import flow, task
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.concurrency.sync import concurrency
from prefect.flow_runs import resume_flow_run
from prefect.futures import wait
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.states import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Cancelled,
    Cancelling,
    InfrastructurePending,
    Paused,
    Pending,
    Running,
    Scheduled,
    Suspended,
)
from prefect.testing.cli import invoke_and_assert
from prefect.workers.process import ProcessWorker

from tests.observe import log_messages, settles
from tests.programs import run_program

MINUTE = timedelta(minutes=1)
POOL, BUSY = "why-not", "why-busy"
PREVENT = "../scaling/prevent-overlap.md"
ROUTE = "../scaling/route-work-with-pools.md"
RESOLVE = "../modular-workflows/resolve-every-future.md"
LIMITS = "../scaling/create-limits-before-you-use-them.md"
JOB = "from prefect import flow\n\n@flow\ndef load_copper(): ...\n"


@flow(name="load-tin")
def load() -> None: ...


@pytest.fixture
def plan(api):
    """Plan runs of new deployments, by default one that is late."""
    deployments = []

    def plan(name, deployed=load, due=-MINUTE, **where):
        where = {"work_pool_name": POOL} | where
        deployment = deployed.to_deployment(name, **where).apply()
        deployments.append(deployment)
        due = datetime.now(UTC) + due
        return api.create_flow_run_from_deployment(
            deployment, name=name, state=Scheduled(scheduled_time=due)
        ).id

    for name in POOL, BUSY:
        api.create_work_pool(WorkPoolCreate(name=name, type="process"))
    yield plan
    for name in POOL, BUSY:
        api.delete_work_pool(name)
    for deployment in set(deployments):
        api.delete_deployment(deployment)


@pytest.fixture
def limits(api):
    api.create_concurrency_limit("why-not-tag", 1)
    api.upsert_global_concurrency_limit_by_name("why-not", limit=1)
    yield
    api.delete_concurrency_limit_by_tag("why-not-tag")
    api.delete_global_concurrency_limit_by_name("why-not")


@pytest.fixture
def worker(tmp_path):
    """A worker for one run at a time, in one queue."""
    command = ["-m", "prefect", "worker", "start", "--pool", BUSY]
    command += ["--work-queue", "default", "--limit", "1"]
    with (tmp_path / "worker.log").open("w") as log:
        process = Popen(
            [sys.executable, *command],
            env=os.environ
            | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
            | {"PREFECT_WORKER_DEBUG_MODE": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def state_of(api, run_id):
    return api.read_flow_run(run_id).state.name


def logs(api, run_id):
    return log_messages(api, api.read_flow_run(run_id).state)


def offered(api, pool=POOL):
    """The runs that a worker which asks now gets."""
    due = api.get_scheduled_flow_runs_for_work_pool(
        pool, scheduled_before=datetime.now(UTC)
    )
    return [response.flow_run.name for response in due]


def in_order(row):
    return [
        *("`Scheduled`", "`Late`", "`AwaitingConcurrencySlot`", "`Pending`"),
        *("`Submitting`", "`AwaitingRetry`", "`Paused`", "`Suspended`"),
        *("`Resuming`", "`Running`", "`NotReady`, a task run"),
        *("`Cancelling`", "`Crashed`"),
    ].index(row[0])


class Look:
    """Ask about runs as the table says, and collect its rows."""

    def __init__(self, api, do):
        self.api, self.rows = api, []
        self.who_must_act = import_module("why").who_must_act

    def __call__(self, run_id, cause, command, says, who, **names):
        names |= {"ID": run_id, "POOL": POOL, "QUEUE": "default"} | names
        told = self.who_must_act(self.api, run_id)
        state = names.pop("state", f"`{state_of(self.api, run_id)}`")
        asked, answer = command, says
        for name, value in names.items():
            asked = asked.replace(name, str(value))
            answer = answer.replace(name, str(value))
            told = told.replace(f" {value}", f" {name}")
        assert told == who
        invoke_and_assert(asked, expected_output_contains=answer)
        self.rows.append([state, cause, f"`prefect {command}`: `{says}`", who])


def test_starting_it_again_loads_twice(dont, api, capsys):
    """A run that does not start still waits, so a run that you start in its
    place comes on top of it.

    So when the pool is resumed, a worker gets both runs, and each loads its
    rows.
    """
    dont.tonight(api)
    assert dont.table == ["gold", "silver"] * 2
    assert capsys.readouterr().out.endswith("Rows for 2 metals: 4\n")


def test_the_answer_is_one_load(do, api, capsys, monkeypatch):
    """The program asks the server for the run, its work pool and its work
    queue, and creates no run.
    """
    deleted = []

    def delete(name):
        deleted.append(api.read_work_pool(name).type)
        delete_work_pool(name)

    delete_work_pool = api.delete_work_pool
    monkeypatch.setattr(api, "delete_work_pool", delete)
    do.tonight(api)
    assert deleted == ["process"]
    assert do.table == ["gold", "silver"]
    assert capsys.readouterr().out == (
        "It does not start: operator: resume work pool night-metals\n"
        "Rows for 2 metals: 2\n"
    )


def test_why_py_takes_the_id_of_a_run(do, plan, tmp_path):
    """Copy it, and call `python why.py ID` with the id at the end of the run's
    address in the dashboard:
    """
    program = do.__file__.replace("do.py", "why.py")
    run = run_program(program, tmp_path, str(plan("late")))
    assert run.stdout == "operator: start a worker for work pool why-not\n"


def nothing_has_taken_it(api, look, plan):
    look(
        plan("later", due=60 * MINUTE),
        "its time has not come",
        "flow-run inspect ID",
        "scheduled_time=",
        "nobody: it has a time",
    )
    full, late = plan("full"), plan("late")
    early = AwaitingConcurrencySlot(scheduled_time=datetime.now(UTC) - MINUTE)
    api.set_flow_run_state(full, early, force=True)
    settles(partial(state_of, api, late), "Late")
    assert state_of(api, full) == "AwaitingConcurrencySlot"
    who = "operator: free a slot of its deployment"
    assert look.who_must_act(api, full) == who
    api.set_flow_run_state(full, Cancelled(), force=True)
    look(
        late,
        "[no worker](watch-for-absence.md) asks its work pool",
        "work-pool inspect POOL",
        "NOT_READY",
        "operator: start a worker for work pool POOL",
    )
    api.update_work_pool(POOL, WorkPoolUpdate(is_paused=True))
    look(
        late,
        "the work pool is paused",
        "work-pool inspect POOL",
        "PAUSED",
        "operator: resume work pool POOL",
    )
    assert offered(api) == []
    full = WorkPoolUpdate(is_paused=False, concurrency_limit=1)
    api.update_work_pool(POOL, full)
    assert offered(api) == ["late"]
    holds = plan("holds")
    api.set_flow_run_state(holds, Pending())
    look(
        late,
        f"the [limit of the work pool]({LIMITS}) is full",
        "work-pool slots POOL",
        "1 / 1",
        "operator: free a slot of work pool POOL",
    )
    assert offered(api) == []
    api.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=2))
    assert offered(api) == ["late"]

    api.send_worker_heartbeat(POOL, "why-not", 30)
    queue = api.read_work_queue_by_name("default", work_pool_name=POOL)
    api.update_work_queue(queue.id, is_paused=True)
    look(
        late,
        "the work queue is paused",
        "work-queue inspect QUEUE --pool POOL",
        "PAUSED",
        "operator: resume work queue QUEUE",
    )
    assert offered(api) == []
    api.update_work_queue(queue.id, is_paused=False, concurrency_limit=1)
    look(
        late,
        f"the [limit of the work queue]({LIMITS}) is full",
        "work-queue slots QUEUE --pool POOL",
        "1 / 1",
        "operator: free a slot of work queue QUEUE",
    )
    assert offered(api) == []
    look(
        holds,
        "a worker took it, or was lost when it did",
        "work-pool slots POOL",
        "Pending",
        "operator: see how far its worker came",
    )
    api.set_flow_run_state(holds, InfrastructurePending())
    assert look.who_must_act(api, holds) == look.rows[-1][-1]
    api.set_flow_run_state(holds, Cancelled(), force=True)
    assert offered(api) == ["late"]

    served = plan("served", work_pool_name=None)
    settles(partial(state_of, api, served), "Late")
    look(
        served,
        "its deployment has no work pool, and [`serve`]"
        "(../scaling/serve-or-deploy.md) does not run",
        "deployment inspect FLOW/DEPLOYMENT",
        "'work_pool_name': None",
        "developer: start what serves its deployment",
        **{"FLOW/DEPLOYMENT": "load-tin/served"},
    )


def a_worker_has_its_limits(api, look, plan, worker, tmp_path):
    broken, slow = (tmp_path / f"{name}.py" for name in ("broken", "slow"))

    def source(file):
        file.write_text(JOB)
        return flow.from_source(tmp_path, f"{file.name}:load_copper")

    here = {"work_pool_name": BUSY}
    crashed = plan("broken", source(broken), **here)
    starts = plan("slow", source(slow), concurrency_limit=1, **here)
    broken.write_text("")
    slow.write_text("import time\n\ntime.sleep(600)\n")
    settles(partial(state_of, api, crashed), "Crashed", seconds=60)
    settles(partial(state_of, api, starts), "Submitting", seconds=60)
    handed_over = "Flow run 'slow' submitted to infrastructure"
    settles(lambda: handed_over in logs(api, starts), True)
    states = api.read_flow_run_states(starts)
    assert [state.name for state in states][-2:] == ["Pending", "Submitting"]
    look(
        starts,
        "its process gets ready, or was lost while it did",
        "flow-run logs ID",
        "submitted to infrastructure",
        "operator: see how far its worker came",
    )
    deployment = api.read_flow_run(starts).deployment_id
    second = api.create_flow_run_from_deployment(deployment).id
    asks = ProcessWorker(work_pool_name=BUSY, work_queues=["default"])
    asyncio.run(asks.start(run_once=True))
    settles(
        lambda: logs(api, second)[-1:],
        [
            f"Aborted submission of flow run '{second}': "
            "Server returned a non-pending state 'SCHEDULED'"
        ],
    )
    look(
        second,
        f"the [limit of its deployment]({PREVENT}) is full",
        "deployment inspect FLOW/DEPLOYMENT",
        "'active_slots': 1",
        "operator: free a slot of its deployment",
        **{"FLOW/DEPLOYMENT": "load-copper/slow"},
    )

    late = plan("next", **here)
    urgnet = plan("urgnet", work_queue_name="urgnet", **here)
    settles(partial(state_of, api, urgnet), "Late")
    look(
        urgnet,
        f"no worker asks its [work queue]({ROUTE}), which may be misspelled",
        "work-queue inspect QUEUE --pool POOL",
        "NOT_READY",
        "operator: start a worker for work queue QUEUE",
        POOL=BUSY,
        QUEUE="urgnet",
    )
    settles(partial(state_of, api, late), "Late")
    look(
        late,
        "its worker runs as many as its `--limit` allows",
        "work-queue inspect QUEUE --pool POOL",
        "WorkQueueStatus.READY",
        "operator: see if its worker is at its own limit",
        POOL=BUSY,
    )
    log = (tmp_path / "worker.log").read_text()
    assert "Flow run limit reached; 1 flow runs in progress." in log
    known = api.read_workers_for_work_pool(BUSY)[0].model_dump()
    assert "limit" not in " ".join(known)

    child = int(api.read_flow_run(starts).infrastructure_pid)
    for process in worker.pid, child:
        os.killpg(process, signal.SIGKILL)
    worker.wait()
    assert state_of(api, starts) == "Submitting"
    assert "slow" not in offered(api, BUSY)
    api.update_work_pool(BUSY, WorkPoolUpdate(concurrency_limit=1))
    assert api.read_work_pool(BUSY).active_slots == 1
    told = invoke_and_assert(f"work-pool slots {BUSY}").stdout.split()
    assert {"slow", "Submitting", "Duration"} <= {*told}
    api.set_flow_run_state(starts, Cancelling())
    assert api.read_work_pool(BUSY).active_slots == 0
    look(
        starts,
        "it was cancelled, and [nothing has ended it](detect-zombies.md)",
        "flow-run inspect ID",
        "infrastructure_pid=",
        "operator: end its process, if there is one",
    )
    look(
        crashed,
        "[its flow cannot be loaded](../testing/smoke-test-entrypoints.md)",
        "flow-run logs ID",
        "not found in 'broken.py'",
        "developer: read its log",
    )


def it_has_started(api, look, plan):
    tried, paused, suspended = map(plan, ("tried", "paused", "suspended"))
    for run_id in tried, paused, suspended:
        for state in Pending(), Running():
            api.set_flow_run_state(run_id, state)
    soon = datetime.now(UTC) + 60 * MINUTE
    api.set_flow_run_state(tried, AwaitingRetry(scheduled_time=soon))
    look(
        tried,
        "an [attempt](../resilience/retry-tasks-not-flows.md) failed, and the"
        " next one has a time",
        "flow-run inspect ID",
        "scheduled_time=",
        "nobody: it has a time",
    )
    for run_id, state, cause in (
        (paused, Paused, "it waits for a person, and its process waits too"),
        (suspended, Suspended, "it waits for a person, without a process"),
    ):
        api.set_flow_run_state(run_id, state(timeout_seconds=600))
        look(
            run_id,
            cause,
            "flow-run inspect ID",
            "pause_timeout=",
            "the person it waits for: resume the run",
        )
    resume_flow_run(suspended)
    look(
        suspended,
        "it was suspended and resumed, and no worker has taken it",
        "work-pool inspect POOL",
        "NOT_READY",
        "operator: start a worker for work pool POOL",
    )


def it_runs_and_waits(api, look):
    done = Event()

    @task(tags=["why-not-tag"])
    def copper() -> None:
        done.wait()

    @task
    def tin() -> None:
        raise ValueError

    @task
    def block() -> None:
        with concurrency("why-not", strict=True):
            done.wait()

    @flow(name="load-zinc")
    def waits() -> None:
        this = flow_run.id
        block.submit()
        waiting = block.submit()
        held = copper.submit()
        settles(lambda: held.state.name, "Running")
        never = copper.submit(wait_for=[tin.submit()])
        queued = copper.submit()
        settles(lambda: never.state.name, "NotReady")
        for cause, command, says, names in (
            (
                f"a [limit of a tag]({LIMITS}) is full, and the task waits",
                "concurrency-limit inspect TAG",
                "TASK_RUN",
                {"TASK_RUN": held.task_run_id, "TAG": "why-not-tag"},
            ),
            (
                f"a [limit]({LIMITS}) is full, and the block waits",
                "gcl inspect LIMIT",
                "active_slots=1",
                {"LIMIT": "why-not"},
            ),
            (
                f"a task run that it needs [did not complete]({RESOLVE})",
                "task-run inspect TASK_RUN",
                "did not reach a 'COMPLETED' state",
                {
                    "TASK_RUN": never.task_run_id,
                    "state": "`NotReady`, a task run",
                },
            ),
        ):
            who = "developer: see what its tasks and blocks wait for"
            look(this, cause, command, says, who, **names)
        assert queued.state.name == "Pending"
        assert waiting.state.name == "Running"
        done.set()
        wait([queued, waiting])

    waits(return_state=True)


def test_each_state_says_who_must_act(
    api, do, plan, limits, worker, table, tmp_path
):
    """`SCHEDULED`: no worker has it. `Late` does not say why. A worker gets the
    run as soon as the pool or the queue is resumed or has a free slot.

    `PENDING`: a worker has it. If the worker and the process are lost now, the
    run stays `Submitting`, and no other worker gets it. It also keeps its slot
    in the work pool. Cancel it and start a new one: then it is `Cancelling`,
    and the slot is free.

    `RUNNING`: its code runs. If it does nothing, it may wait for a limit that
    it asked for itself.

    A run that waits for a slot of its deployment does not become `Late`, so an
    alert on late runs does not tell you of it.

    If the limit of a deployment is full, the log of the run says:

    If a worker is at its own limit, its log says so when you start it with
    `PREFECT_WORKER_DEBUG_MODE=true`:

    `why.py` gives the answers in the last column of the table.

    `prefect work-pool slots POOL` lists what holds the slots of a pool, with
    the state of each run and for how long it has had it.

    The server does not know the `--limit` of a worker.
    """
    look = Look(api, do)
    it_has_started(api, look, plan)
    nothing_has_taken_it(api, look, plan)
    it_runs_and_waits(api, look)
    a_worker_has_its_limits(api, look, plan, worker, tmp_path)
    head = ["State", "Because", "Ask, and read", "Who must act, by `why.py`"]
    table("states.md", head, sorted(look.rows, key=in_order))


def test_a_pool_is_ready_until_its_workers_missed_three_heartbeats(api, plan):
    """After its last worker is gone, a work pool stays `READY` until three
    heartbeats were missed: by default that is up to 105 seconds.
    """
    assert ProcessWorker(POOL).heartbeat_interval_seconds == 30
    foreman = get_current_settings().server.services.foreman
    assert foreman.inactivity_heartbeat_multiple == 3
    assert 3 * 30 + foreman.loop_seconds == 105
    api.send_worker_heartbeat(POOL, "gone", heartbeat_interval_seconds=1)
    assert api.read_work_pool(POOL).status == "READY"
    settles(lambda: api.read_work_pool(POOL).status.value, "NOT_READY")
