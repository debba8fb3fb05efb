from prefect import flow, task
from prefect.utilities.annotations import opaque

from tests.observe import settles, task_runs

DAY = "2026-03-02"


def test_a_retry_of_the_big_task_downloads_twice(dont, api, caplog):
    state = dont.nightly(DAY, return_state=True)

    assert state.is_completed()
    assert "Retry 1/1 will start immediately" in caplog.text
    assert dont.downloads == [DAY, DAY]
    settles(
        lambda: task_runs(api, state),
        [("download_clean_and_load", "Completed", 2)],
    )


def test_a_retry_of_the_small_task_loads_only(do, api):
    state = do.nightly(DAY, return_state=True)

    assert state.is_completed()
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


def test_the_big_task_run_fails_as_a_whole(dont, api, monkeypatch):
    monkeypatch.setattr(dont, "warehouse", iter(["down", "down"]))
    state = dont.nightly(DAY, return_state=True)

    assert state.is_failed()
    settles(
        lambda: task_runs(api, state),
        [("download_clean_and_load", "Failed", 2)],
    )


def test_prefect_searches_every_element_of_an_argument_for_futures():
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
