import asyncio
import os
import threading
import time
from importlib import reload
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import (
    PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS as MAX_WORKERS,
)
from prefect.settings import temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect.task_worker import TaskWorker

from tests import programs
from tests.backend import patient
from tests.observe import settles


def test_threads_that_compute_never_keep_two_cores_busy(dont):
    """Threads of one process take turns on one core, so they help tasks that
    wait and not tasks that compute.

    A flow without `task_runner` uses `ThreadPoolTaskRunner`. Its tasks are
    threads of the flow's own process.

    So tasks that compute take turns on one core.
    """
    assert isinstance(dont.forecast_all.task_runner, ThreadPoolTaskRunner)
    wall, cpu = time.perf_counter(), time.process_time()
    processes = dont.forecast_all()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    assert processes == [os.getpid()] * 4
    assert cpu < 1.2 * wall


def test_threads_that_wait_all_wait_at_the_same_time():
    """Tasks that wait, for a database, an API or a file, give their turn away,
    so threads of one process can all wait at the same time.
    """
    meeting = threading.Barrier(4)

    @task
    def wait_for_the_others(region: str) -> int:
        return meeting.wait(patient(60))

    @flow
    def ask_all() -> list[int]:
        return wait_for_the_others.map(["n", "e", "s", "w"]).result()

    assert sorted(ask_all()) == [0, 1, 2, 3]


def test_a_process_pool_computes_in_processes_of_its_own(do):
    """`ProcessPoolTaskRunner` runs these tasks in two other processes, each
    with an interpreter of its own.
    """
    processes = do.forecast_all()

    assert len(processes) == 4
    assert len(set(processes)) <= 2
    assert os.getpid() not in processes
    with temporary_settings({MAX_WORKERS: 3}):  # as on a machine with 3 cores
        assert reload(do).forecast_all.task_runner._max_workers == 2


def test_without_a_number_the_pool_has_all_cores_of_the_machine():
    """Without `max_workers` the pool has as many processes as the machine has
    cores, unless `PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS` says another
    number.
    """
    assert ProcessPoolTaskRunner()._max_workers == os.cpu_count()
    with temporary_settings({MAX_WORKERS: 3}):
        assert ProcessPoolTaskRunner()._max_workers == 3


def test_a_process_takes_no_lock(do):
    """Arguments and results travel between processes, so they must be
    picklable. A lock or an open connection is not: open it inside the task.
    """

    @flow(task_runner=do.forecast_all.task_runner)
    def forecast_with_a_lock() -> int:
        return do.forecast.submit(threading.Lock()).result()

    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object"):
        forecast_with_a_lock()


def test_a_process_fills_a_list_of_its_own():
    """A task no longer sees the variables of the flow's process. A list that it
    fills stays empty on your side.
    """
    demands = []

    @task
    def forecast() -> int:
        demands.append(42)
        return len(demands)

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def forecast_all() -> int:
        return forecast.submit().result()

    assert forecast_all() == 1
    assert demands == []


def test_a_process_pool_breaks_without_the_main_guard(do, tmp_path):
    """Each process imports your program anew. Keep the `if __name__ ==
    "__main__":` guard. Without it, the new process starts the flow again, and
    the pool breaks.
    """
    guarded = Path(do.__file__).read_text("utf-8")
    program = tmp_path / "no_guard.py"
    program.write_text(
        guarded.replace('if __name__ == "__main__":', "if True:"), "utf-8"
    )
    run = programs.run_program(program, tmp_path)

    assert run.returncode == 1
    assert (
        "A process in the process pool was terminated abruptly while the"
        " future was running or pending." in run.stderr
    )


KINDS = {
    "int": "the value",
    "PrefectConcurrentFuture": "a future",
    "PrefectFutureList": "a list of futures",
    "PrefectDistributedFuture": "a future",
}


def what_differs(way):
    """Where it runs, what the flow gets and whether it waits."""
    ended, flow_goes_on = [], threading.Event()

    @task
    def load(day: int) -> int:
        if threading.current_thread().name.startswith("ThreadPool"):
            flow_goes_on.wait(patient(60))
        ended.append(threading.current_thread())
        return day

    @flow
    def load_days() -> tuple:
        got = way(load)
        waited = bool(ended)
        flow_goes_on.set()
        if not waited:
            got.wait()
        own = ended[0] is threading.current_thread()
        return (
            "in the flow's thread" if own else "where the task runner says",
            KINDS[type(got).__name__],
            "until it ends" if waited else "no",
        )

    return load_days()


def when_it_fails(way):
    @task
    def load(day: int) -> int:
        raise ValueError(day)

    @flow
    def load_days() -> str:
        try:
            got = way(load)
        except ValueError:
            return "at once"
        with pytest.raises(ValueError):
            got.result()
        return "when it asks for the result"

    return load_days()


def delayed(api):
    """What a delayed task is before and after a task worker takes it."""

    @task
    def load(day: int) -> int:
        raise ValueError(day)

    @flow
    def load_days() -> str:
        return type(load.delay(1)).__name__

    state = load_days(return_state=True)
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})

    def runs():
        return api.read_task_runs(flow_run_filter=this_run, sort="ID_DESC")

    async def work() -> None:
        async with TaskWorker(load) as worker:
            await worker.execute_task_run(*runs())

    before = [run.state_name for run in runs()]
    asyncio.run(work())
    settles(lambda: [run.state_name for run in runs()], ["Failed"])
    return KINDS[state.result()], state.name, before


def test_call_submit_map_and_delay_differ(api, table):
    """The task runner has a say only in what you `submit` or `map`:

    A delayed task stays `Scheduled` until a task worker takes it, and the flow
    can be `Completed` before that.
    """
    ways = {
        "`load(x)`": lambda load: load(1),
        "`load.submit(x)`": lambda load: load.submit(1),
        "`load.map(xs)`": lambda load: load.map([1, 2]),
    }
    future, flow_ended, task_was = delayed(api)
    assert (flow_ended, task_was) == ("Completed", ["Scheduled"])
    where, got, waits = zip(*map(what_differs, ways.values()), strict=True)
    fails = map(when_it_fails, ways.values())
    rows = [
        ["It runs", *where, "in a task worker"],
        ["The flow gets", *got, future],
        ["The flow waits", *waits, "no"],
        ["A failure reaches the flow", *fails, "only if it asks"],
        [
            "Advice: choose it when",
            "the next line needs the value",
            "some different things can go on together",
            "many elements need the same",
            "the flow need not know how it ends",
        ],
    ]
    table("ways.md", ["What differs", *ways, "`load.delay(x)`"], rows)
