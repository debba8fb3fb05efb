import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.schemas.filters import FlowRunFilter
from prefect.task_worker import TaskWorker

from tests import programs
from tests.backend import patient
from tests.observe import settles


def test_threads_that_compute_never_keep_two_cores_busy(dont):
    wall, cpu = time.perf_counter(), time.process_time()
    processes = dont.forecast_all()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    assert processes == [os.getpid()] * 4
    assert cpu < 1.2 * wall


def test_a_process_pool_computes_in_processes_of_its_own(do):
    processes = do.forecast_all()

    assert len(processes) == 4
    assert os.getpid() not in processes


def test_threads_that_wait_all_wait_at_the_same_time():
    meeting = threading.Barrier(4)

    @task
    def wait_for_the_others(region: str) -> int:
        return meeting.wait(patient(60))

    @flow
    def ask_all() -> list[int]:
        return wait_for_the_others.map(["n", "e", "s", "w"]).result()

    assert sorted(ask_all()) == [0, 1, 2, 3]


def test_a_process_takes_no_lock(do):
    @flow(task_runner=do.forecast_all.task_runner)
    def forecast_with_a_lock() -> int:
        return do.forecast.submit(threading.Lock()).result()

    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object"):
        forecast_with_a_lock()


def test_a_process_pool_breaks_without_the_main_guard(do, tmp_path):
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


def test_call_submit_and_map_run_the_task_in_these_threads():
    @task
    def thread(_: str) -> str:
        return threading.current_thread().name

    @flow
    def ask_for_threads() -> list[str]:
        mapped = thread.map(["n", "e"]).result()
        return [thread("n"), thread.submit("n").result(), *mapped]

    called, *others = ask_for_threads()
    assert called == threading.current_thread().name
    assert all(name.startswith("ThreadPoolExecutor") for name in others)


def test_a_delayed_task_waits_for_a_task_worker_and_not_the_flow_for_it(api):
    @task
    def forecast(region: str) -> None:
        raise ValueError(region)

    @flow
    def ask_later() -> None:
        forecast.delay("north")

    state = ask_later(return_state=True)
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})

    def delayed():
        return api.read_task_runs(flow_run_filter=this_run, sort="ID_DESC")

    async def work() -> None:
        async with TaskWorker(forecast) as worker:
            await worker.execute_task_run(*delayed())

    assert state.is_completed()
    assert [run.state_name for run in delayed()] == ["Scheduled"]
    asyncio.run(work())
    settles(lambda: [run.state_name for run in delayed()], ["Failed"])
