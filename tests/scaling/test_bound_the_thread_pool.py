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
    monkeypatch.setattr(dont, "count_readings", queries_that_meet(48))
    assert dont.count_day(48) == 2 * 48


def test_a_bounded_pool_runs_eight_queries_at_a_time(do, monkeypatch, capsys):
    monkeypatch.setattr(do, "count_readings", queries_that_meet(8))
    assert do.count_day(48) == 2 * 48
    assert capsys.readouterr().out == "Threads for 48 queries: 8\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's ulimit -v")
def test_where_threads_are_scarce_only_the_bounded_flow_survives(dont, do):
    unbounded = run_with_little_memory(dont)
    bounded = run_with_little_memory(do)

    assert unbounded.returncode == 1
    assert "RuntimeError: can't start new thread" in unbounded.stderr
    assert bounded.returncode == 0
    assert bounded.stdout.endswith("Readings: 96\n")


def test_two_flow_runs_have_two_pools(do, monkeypatch):
    monkeypatch.setattr(do, "count_readings", queries_that_meet(16))
    with ThreadPoolExecutor() as two_runs:
        days = two_runs.map(do.count_day, [48, 48])
        assert list(days) == [2 * 48, 2 * 48]


def test_the_setting_bounds_flows_that_are_defined_after_it(dont, capsys):
    with temporary_settings({MAX_WORKERS: 8}):
        dont.count_day(12)
        flow(dont.count_day.fn)(12)
    assert capsys.readouterr().out == (
        "Threads for 12 queries: 12\nThreads for 12 queries: 8\n"
    )


def test_a_task_that_submits_a_task_can_block_the_pool(caplog):
    # Prefect counts the outer task as busy only when its submit has returned.
    submitted = threading.Event()

    @task
    def count_hour() -> int:
        return 2

    @task
    def count_night() -> str:
        submitted.wait(patient(60))
        hour = count_hour.submit()
        hour.wait(timeout=0.2)  # without a timeout it would wait for ever
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
