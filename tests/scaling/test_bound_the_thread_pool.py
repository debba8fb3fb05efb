import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prefect import flow, task
from prefect.settings import (
    PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS as MAX_WORKERS,
)
from prefect.settings import temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from tests.backend import patient


def queries_that_meet(number: int):
    """A task that ends only when so many of its runs run at one time."""
    meeting = threading.Barrier(number)

    @task
    def count_readings(half_hour: int) -> int:
        meeting.wait(patient(60))
        return 2

    return count_readings


def run_with_little_memory(program) -> subprocess.CompletedProcess[str]:
    """Run it with room for fewer than 40 threads of 128 MB."""
    limits = "ulimit -s 131072; ulimit -v 5000000;"
    return subprocess.run(
        ["sh", "-c", f"{limits} exec {sys.executable} {program.__file__}"],
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )


def test_all_queries_run_at_the_same_time(dont, monkeypatch):
    """A flow's thread pool has no upper limit, so each task that you submit
    while others wait gets a thread of its own.

    On the day when the database is slow, the flow asks it everything at once.

    `max_workers` of `ThreadPoolTaskRunner` is `sys.maxsize` if you set nothing.
    """
    monkeypatch.setattr(dont, "count_readings", queries_that_meet(48))
    assert dont.count_day(48) == 2 * 48
    assert dont.count_day.task_runner._max_workers == sys.maxsize


def test_a_fast_database_hides_it(dont):
    """If no thread of the pool is idle when you submit a task, the pool starts
    one more. A fast database hides this: threads become idle and are used
    again.
    """

    @flow
    def count_one_after_the_other() -> list[str]:
        for half_hour in range(8):
            dont.count_readings.submit(half_hour).result()
        return [thread.name for thread in threading.enumerate()]

    names = count_one_after_the_other()
    pool = [name for name in names if "ThreadPoolExecutor" in name]
    assert 1 <= len(pool) < 8


def test_a_bounded_pool_runs_eight_queries_at_a_time(do, monkeypatch, capsys):
    """Eight queries run at a time, and the other 40 wait in a queue of the
    pool.
    """
    monkeypatch.setattr(do, "count_readings", queries_that_meet(8))
    assert do.count_day(48) == 2 * 48
    assert capsys.readouterr().out == "Threads for 48 queries: 8\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's ulimit -v")
def test_where_threads_are_scarce_only_the_bounded_flow_survives(dont, do):
    """Each thread also takes memory. Where that is scarce, this flow fails with
    `can't start new thread`, and the bounded flow below counts all readings.
    """
    unbounded = run_with_little_memory(dont)
    bounded = run_with_little_memory(do)

    assert unbounded.returncode == 1
    assert "RuntimeError: can't start new thread" in unbounded.stderr
    assert bounded.returncode == 0
    assert bounded.stdout.endswith("Readings: 96\n")


def test_two_flow_runs_have_two_pools(do, monkeypatch):
    """The bound holds for one flow run. Two runs of this flow have
    16 threads.
    """
    monkeypatch.setattr(do, "count_readings", queries_that_meet(16))
    with ThreadPoolExecutor() as two_runs:
        days = two_runs.map(do.count_day, [48, 48])
        assert list(days) == [2 * 48, 2 * 48]


def test_the_setting_bounds_flows_that_are_defined_after_it(dont, capsys):
    """The setting `PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS` does the same
    for all flows that name no task runner. Prefect reads it when the flow is
    defined, so set it before Python starts, for example in the profile or the
    job variables.
    """
    with temporary_settings({MAX_WORKERS: 8}):
        dont.count_day(12)
        flow(dont.count_day.fn)(12)
    assert capsys.readouterr().out == (
        "Threads for 12 queries: 12\nThreads for 12 queries: 8\n"
    )


def test_a_task_that_submits_a_task_can_block_the_pool(caplog):
    """Both need a thread of the same pool. If all threads hold tasks that wait,
    none is left for the tasks that they wait for.

    Prefect logs the warning above, and the flow hangs.
    """
    # Prefect counts the outer task as busy only when its submit has returned.
    submitted = threading.Event()

    @task
    def count_hour() -> int:
        return 2

    @task
    def count_night() -> str:
        submitted.wait(patient(60))
        hour = count_hour.submit()
        hour.wait(timeout=0.2)  # without a timeout it would wait forever
        return hour.state.name

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def count() -> str:
        night = count_night.submit()
        submitted.set()
        return night.result()

    assert count() == "Pending"
    assert (
        "If the parent task blocks on the child's result this will deadlock,"
        " because no worker is free to run the child." in caplog.text
    )
