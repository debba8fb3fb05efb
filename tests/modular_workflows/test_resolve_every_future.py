import time
from threading import Barrier

import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from tests.backend import patient
from tests.observe import settles, task_runs

ONE_THREAD = ThreadPoolTaskRunner(max_workers=1)


@pytest.fixture
def the_end(dont, monkeypatch):
    """Let a task run and the end of its flow run wait for each other."""
    meet = Barrier(2, timeout=patient(30)).wait
    load_week = dont.load_week.with_options(on_completion=[lambda *_: meet()])
    monkeypatch.setattr(dont, "load_week", load_week)
    return meet


def test_a_dropped_failure_leaves_the_flow_completed(
    dont, api, the_end, monkeypatch
):
    load = dont.load.with_options(on_failure=[lambda *_: the_end()])
    monkeypatch.setattr(dont, "load", load)

    state = dont.load_week(["tue.csv"], return_state=True)

    assert state.is_completed()
    settles(lambda: task_runs(api, state), [("load", "Failed", 1)])


def test_a_collected_failure_fails_the_flow(do):
    state = do.load_week(list(do.ROWS), return_state=True)

    assert state.is_failed()
    assert "ValueError: tue.csv is empty" in state.message


def test_a_bounded_pool_never_runs_the_files_that_still_wait(
    dont, api, the_end, monkeypatch
):
    started = []

    @task
    def load(file):
        started.append(file)
        the_end()
        time.sleep(1)  # the task runner closes

    monkeypatch.setattr(dont, "load", load)
    load_week = dont.load_week.with_options(task_runner=ONE_THREAD)

    state = load_week(["mon.csv", "tue.csv", "wed.csv"], return_state=True)

    assert state.is_completed()
    assert started == ["mon.csv"]
    settles(lambda: task_runs(api, state), [("load", "Completed", 1)])


def test_the_end_of_the_flow_cuts_off_a_retry(
    dont, api, the_end, monkeypatch, caplog
):
    @task(retries=1, retry_delay_seconds=1)
    def load(file):
        the_end()
        raise ConnectionError("warehouse is down")

    monkeypatch.setattr(dont, "load", load)

    state = dont.load_week(["mon.csv"], return_state=True)

    assert state.is_completed()
    settles(lambda: task_runs(api, state), [("load", "Crashed", 2)])
    assert (
        "Execution was interrupted by an unexpected exception:"
        " CancelledError: Task run cancelled by the task runner" in caplog.text
    )


def test_a_task_called_with_a_failed_future_never_runs(do, api, caplog):
    @task
    def report(loads):
        return "report"

    @flow
    def load_and_report(file):
        assert report(do.load.submit(file)) is None

    state = load_and_report("tue.csv", return_state=True)

    assert state.is_completed()
    settles(
        lambda: task_runs(api, state),
        [("load", "Failed", 1), ("report", "NotReady", 0)],
    )
    assert 'Finished in state NotReady("Upstream task run' in caplog.text


def wait_only(loads):
    loads.wait()


def wait_then_collect(loads):
    loads.wait()
    return loads.result()


def return_them(loads):
    return loads


@pytest.mark.parametrize(
    ("collect", "ending"),
    [
        (wait_only, "Completed"),
        (wait_then_collect, "Failed"),
        (return_them, "Failed"),
    ],
)
def test_waiting_runs_every_file_but_alone_hides_the_failure(
    do, collect, ending
):
    @flow(task_runner=ONE_THREAD)
    def load_week(files):
        return collect(do.load.map(files))

    state = load_week(["tue.csv", "mon.csv", "wed.csv"], return_state=True)

    assert state.name == ending
    assert list(do.warehouse) == ["mon.csv", "wed.csv"]
