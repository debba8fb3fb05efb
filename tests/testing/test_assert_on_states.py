import asyncio
from threading import Event

import pytest
from prefect import task
from prefect.cache_policies import INPUTS
from prefect.client.schemas.filters import FlowRunFilter
from prefect.events.worker import EventsWorker
from prefect.states import Crashed

from tests.backend import patient
from tests.observe import settles, task_runs

# task_states.py reads the record for do.py.
BUG = (
    "Task run encountered an exception AttributeError:"
    " 'str' object has no attribute 'year'"
)
PLACES = {
    "how the run ended": "state.is_completed()",
    "what the flow returned": "state.result()",
    "the state's name, such as `Cached` or `TimedOut`": "state.name",
    "how a task run ended": "run.state_name",
    "why it ended so": "run.state.message",
    "how often it was tried": "run.run_count",
    "what your code logged": '"no attribute" in caplog.text',
    "which parameters the server stored": (
        "client.read_flow_run(run.flow_run_id).parameters"
    ),
}


def test_return_values_hide_two_faults(dont, api, caplog):
    """A flow can return the right value while one of its task runs has failed,
    and a test of the value alone does not see it.

    So it fails on every day, and nothing is archived. With `return_state=True`
    a task that fails does not raise: it returns its state. The flow ignores
    that state, so the value that the flow returns says nothing about the
    failure.
    """
    dont.test_report()
    dont.test_day_without_orders()
    assert f'Finished in state Failed("{BUG}")' in caplog.text

    state = dont.daily_report("2026-03-02", return_state=True)
    assert state.name == "Completed"
    settles(
        lambda: task_runs(api, state),
        [("archive", "Failed", 1), ("load_orders", "Completed", 1)],
    )


def test_states_show_both_faults(do):
    """Ask for the state of the flow run, and then for the states of its task
    runs.

    Both faults are found.
    """
    with pytest.raises(AssertionError, match="archive Failed"):
        do.test_report()
    with pytest.raises(AssertionError, match="Completed"):
        do.test_day_without_orders()


def test_both_tests_pass_once_the_faults_are_fixed(do, monkeypatch):
    """`assert state.is_failed()` says so in one line, `state.message` says why
    it failed, and `state.result()` raises the exception again.
    """

    @task
    def load_orders(day: str) -> list[int]:
        if day != "2026-03-01":
            raise ValueError(f"no orders on {day}")
        return [30, 70]

    @task
    def archive(day: str, total: int) -> str:
        return f"{day[:4]}/{day}: {total}"

    monkeypatch.setattr(do, "load_orders", load_orders)
    monkeypatch.setattr(do, "archive", archive)
    do.test_report()
    do.test_day_without_orders()

    state = do.daily_report("2026-03-02", return_state=True)
    assert state.is_failed()
    assert state.message == (
        "Flow run encountered an exception: ValueError: no orders on 2026-03-02"
    )
    with pytest.raises(ValueError, match="no orders"):
        state.result()


def test_the_helper_waits_and_names_the_task(do, monkeypatch):
    """Task runs can reach the server after the flow has ended, so the helper
    waits until all of them have ended there. It takes the name of the task from
    `task_key`, because `task_run_name` can give the run any other name.
    """
    may_go, send = Event(), EventsWorker._handle

    async def send_later(self, event):
        await asyncio.to_thread(may_go.wait, patient(30))
        await send(self, event)

    monkeypatch.setattr(EventsWorker, "_handle", send_later)
    renamed = do.archive.with_options(task_run_name="year of {day}")
    monkeypatch.setattr(do, "archive", renamed)
    state = do.daily_report("2026-03-01", return_state=True)
    assert do.task_states(state, runs=0) == []
    may_go.set()
    ended = do.task_states(state, runs=2)
    assert ended == ["archive Failed", "load_orders Completed"]


def test_where_a_test_finds_what_it_needs(do, api, caplog, table):
    """These are the places where a test finds what it needs."""
    state = do.daily_report("2026-03-01", return_state=True)
    do.task_states(state, runs=2)
    names = {"state": state, "client": api, "caplog": caplog}
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    found = api.read_task_runs(flow_run_filter=this_run)
    [names["run"]] = [r for r in found if r.task_key.startswith("archive-")]

    rows = [
        [know, f"`{place}`", f"`{eval(place, names)!r}`"]
        for know, place in PLACES.items()
    ]
    table("places.md", ["To know", "Look at", "Here it is"], rows)


def test_a_check_of_the_type_sees_less_than_the_name():
    """`is_completed()` is also true for the state `Cached`, and `is_failed()`
    is not true for `Crashed`.
    """

    @task(cache_policy=INPUTS, persist_result=True)
    def price(item: str) -> int:
        return 4

    price("tea")
    state = price("tea", return_state=True)
    assert state.name == "Cached" and state.is_completed()
    assert not Crashed().is_failed()
