from time import perf_counter

import pytest
from prefect import flow, task
from prefect.utilities.annotations import opaque

from tests.observe import settles, task_runs

DAY = "2026-03-02"


def test_a_retry_of_the_big_task_downloads_twice(dont, api):
    """A retry repeats the whole task, so a task with many jobs repeats all of
    them when its last one fails.

    A `task` is the smallest thing that Prefect can repeat. It does not see the
    three calls inside `download_clean_and_load`. When `load` raises, Prefect
    calls the whole function again from its first line, and the file is
    downloaded a second time.
    """
    state = dont.nightly(DAY, return_state=True)

    assert state.is_completed()
    assert dont.downloads == [DAY, DAY]
    settles(
        lambda: task_runs(api, state),
        [("download_clean_and_load", "Completed", 2)],
    )


def test_a_retry_of_the_small_task_loads_only(do, api):
    """Then you can also choose for each one: what talks to a network gets a
    retry, and what only computes gets none.

    `load` runs twice, the other two once.
    """
    retries = [task.retries for task in (do.download, do.clean, do.load)]
    assert retries == [1, 0, 1]
    state = do.nightly(DAY, return_state=True)

    assert state.is_completed()
    assert state.result() == 2
    assert do.downloads == [DAY]
    settles(
        lambda: task_runs(api, state),
        [
            ("clean", "Completed", 1),
            ("download", "Completed", 1),
            ("load", "Completed", 2),
        ],
    )


def test_the_failed_task_run_names_the_step(do, api, monkeypatch):
    """If the warehouse stays down, the list of task runs says `download` and
    `clean` `Completed`, `load` `Failed`.
    """
    monkeypatch.setattr(do, "warehouse", iter(["down", "down"]))
    state = do.nightly(DAY, return_state=True)

    assert state.is_failed()
    settles(
        lambda: task_runs(api, state),
        [
            ("clean", "Completed", 1),
            ("download", "Completed", 1),
            ("load", "Failed", 2),
        ],
    )


def test_the_big_task_run_fails_as_a_whole(dont, api, monkeypatch, caplog):
    """Prefect keeps a state and a run count for each task run, not for each
    step. So one big task also hides which step failed: if the warehouse stays
    down, the list of task runs has one line, `download_clean_and_load`,
    `Failed`.
    """
    monkeypatch.setattr(dont, "warehouse", iter(["down", "down"]))
    state = dont.nightly(DAY, return_state=True)

    assert state.is_failed()
    settles(
        lambda: task_runs(api, state),
        [("download_clean_and_load", "Failed", 2)],
    )
    assert "Retries are exhausted" in caplog.text
    assert dont.downloads == [DAY, DAY]


def test_prefect_searches_every_element_of_an_argument_for_futures():
    """Prefect looks at every element of an argument, because a future may hide
    in it.
    """

    @task
    def price():
        return 8.0

    @task
    def last(rows):
        return rows[-1]["price"]

    @flow
    def nested():
        rows = [{"price": 12.5}, {"price": price.submit()}]
        assert last(rows) == 8.0
        assert last(opaque(rows)) is rows[-1]["price"]

    nested()


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_many_rows_take_long():
    """With 10,000 rows, a task run takes more than five times as long as with
    the same rows in `prefect.utilities.annotations.opaque`, where Prefect does
    not look.
    """
    rows = [{"price": 12.5, "sold": 3} for _ in range(10_000)]

    @task
    def count(rows):
        return len(rows)

    def seconds(argument):
        start = perf_counter()
        assert count(argument) == 10_000
        return perf_counter() - start

    fastest = min(seconds(rows) for _ in range(2))
    assert fastest > 5 * min(seconds(opaque(rows)) for _ in range(3))
