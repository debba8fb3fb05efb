import time
from threading import Barrier, Event

import pytest
from prefect import flow, task
from prefect.exceptions import UnfinishedRun
from prefect.futures import as_completed, wait
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
    """A failure in a future that nobody collects does not reach the flow, and
    the flow's end stops the work that still waits.

    `submit` and `map` return futures at once. The flow run's final state is
    made from what the function returns or raises. This one returns nothing and
    raises nothing, so the flow run is `Completed`.
    """
    load = dont.load.with_options(on_failure=[lambda *_: the_end()])
    monkeypatch.setattr(dont, "load", load)

    state = dont.load_week(["tue.csv"], return_state=True)

    assert state.is_completed()
    settles(lambda: task_runs(api, state), [("load", "Failed", 1)])


def test_a_collected_failure_fails_the_flow(do, monkeypatch, capsys):
    """`result` waits, and raises in the flow what a task raised."""
    state = do.load_week(list(do.ROWS), return_state=True)

    assert state.is_failed()
    assert "ValueError: tue.csv is empty" in state.message
    assert "Loaded" not in capsys.readouterr().out

    monkeypatch.setitem(do.ROWS, "tue.csv", 7)
    assert do.load_week(list(do.ROWS), return_state=True).is_completed()
    assert do.warehouse == {"mon.csv": 120, "tue.csv": 7, "wed.csv": 95}


def test_a_bounded_pool_never_runs_the_files_that_still_wait(
    dont, api, the_end, monkeypatch
):
    """Only after that does Prefect close the task runner. With the default one,
    which uses threads, what runs at that moment runs to its end.

    Items that wait for a free thread are dropped. With
    `ThreadPoolTaskRunner(max_workers=1)` and a slow first file, one file of
    three is loaded, and the other two have no task run.
    """
    started = []

    @task
    def load(file):
        started.append(file)
        the_end()
        time.sleep(1)  # the task runner closes

    monkeypatch.setattr(dont, "load", load)
    assert type(dont.load_week.task_runner) is ThreadPoolTaskRunner
    load_week = dont.load_week.with_options(task_runner=ONE_THREAD)

    state = load_week(["mon.csv", "tue.csv", "wed.csv"], return_state=True)

    assert state.is_completed()
    assert started == ["mon.csv"]
    settles(lambda: task_runs(api, state), [("load", "Completed", 1)])


def test_the_end_of_the_flow_cuts_off_a_retry(
    dont, api, the_end, monkeypatch, caplog
):
    """A retry that waits for its delay does not come. Its task run is
    `Crashed`.
    """

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


def test_a_task_with_a_failed_future_never_runs(do, api, caplog):
    """A `report` that gets a failed load does not run: its task run is
    `NotReady`, the call returns `None`, and the flow goes on.

    A future that you pass to `report.submit(loads)` needs no `result` of its
    own, if you collect the future of `report`. That one raises `UnfinishedRun`
    if a load failed.
    """

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

    @flow
    def load_and_submit(file):
        return report.submit(do.load.submit(file)).result()

    assert load_and_submit("mon.csv") == "report"
    with pytest.raises(UnfinishedRun):
        load_and_submit("tue.csv")


@task
def report(loads):
    return "report"


def test_not_everything_that_waits_fails_the_flow(table):
    """`loads.result()` raises as soon as one file fails, and with the flow's
    end the files that still wait are dropped. So call `loads.wait()` first if
    each file must have its try.
    """
    rows = []
    for line, waits in (
        ("loads.result()", False),
        ("[load.result() for load in as_completed(loads)]", False),
        ("loads.wait(); loads.result()", True),
        ("return loads", True),
        ("report.submit(loads).result()", True),
        ("report(loads)", True),
        ("loads.wait()", True),
        ("wait(loads)", True),
        ("loads", False),
    ):
        state, tried = end(line, waits)
        assert tried == ["tue.csv", "mon.csv", "wed.csv"][: 3 if waits else 2]
        rows.append(
            [
                f"`{line}`",
                "yes" if len(tried) == 3 else "**no**",
                "yes" if state.is_failed() else "**no**",
            ]
        )
    head = ["In the flow", "Each file is tried", "The flow fails"]
    table("waits.md", head, rows)


def end(line, waits):
    """Let a flow end with a line, and say how and what it has tried."""
    tried, ended = [], Event()

    @task
    def load(file):
        tried.append(file)
        if file == "tue.csv":
            raise ValueError("tue.csv is empty")
        if not waits:
            ended.wait(patient(30))
            time.sleep(1)  # the task runner closes

    known = {"report": report, "wait": wait, "as_completed": as_completed}
    exec(f"def end(loads): {line}", known)
    over = [lambda *_: ended.set()]

    @flow(task_runner=ONE_THREAD, on_completion=over, on_failure=over)
    def load_week():
        return known["end"](load.map(["tue.csv", "mon.csv", "wed.csv"]))

    return load_week(return_state=True), tried
