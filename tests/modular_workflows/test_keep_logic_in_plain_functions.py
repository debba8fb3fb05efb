from inspect import isfunction
from timeit import repeat

import pytest
from prefect import Task, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.schemas.filters import LogFilter, TaskRunFilter
from prefect.client.schemas.sorting import LogSort
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.observe import settles, task_runs

NOWHERE = {PREFECT_API_URL: "http://127.0.0.1:9/api"}


def test_a_function_that_is_a_task_cannot_run_without_the_server(dont):
    """A function that you decorate is no longer a function, so each call of it
    needs a Prefect server and makes a task run.

    `task` replaces your function by a `Task` object. A call of it asks Prefect
    for a task run, inside a flow or not. If the API cannot be reached, the call
    raises and the function never begins.
    """
    assert isinstance(dont.discounted, Task)
    began = []

    @task
    def discounted(total):
        began.append(total)

    with temporary_settings(NOWHERE):
        for call in dont.quote, dont.discounted, discounted:
            with pytest.raises(RuntimeError, match="Failed to reach API at"):
                call(120.0)
    assert began == []


def test_without_an_address_the_call_starts_a_server(dont, monkeypatch):
    """If no `PREFECT_API_URL` is set, Prefect first starts a temporary
    server.
    """

    def start(server, timeout=None):
        raise RuntimeError("the temporary server starts")

    server = "prefect.server.api.server.SubprocessASGIServer"
    monkeypatch.setattr(f"{server}.start", start)
    with (
        temporary_settings({PREFECT_API_URL: None}),
        pytest.raises(RuntimeError, match="the temporary server starts"),
    ):
        dont.quote(120.0)


def flow_run_of(api, state):
    """The state and the flow run that the server has of a task run."""
    this_run = TaskRunFilter(id={"any_": [state.state_details.task_run_id]})
    runs = api.read_task_runs(task_run_filter=this_run, sort="ID_DESC")
    return [(run.state_name, run.flow_run_id) for run in runs]


def test_each_call_of_it_is_a_task_run_of_its_own(dont, api):
    """With a server the shop works, but every visitor makes a task run. It
    stands alone in the API: its `flow_run_id` is `None`. Its log is not stored,
    and Python prints the warning above instead.
    """
    EventsWorker.drain_all()  # it may know a flow of another test
    warning = "attempted to send logs to the API without a flow run id"
    with pytest.warns(UserWarning, match=warning):
        state = dont.discounted(120.0, return_state=True)

    settles(lambda: flow_run_of(api, state), [("Completed", None)])
    APILogWorker.drain_all()
    of_it = LogFilter(task_run_id={"any_": [state.state_details.task_run_id]})
    assert api.read_logs(of_it, sort=LogSort.TIMESTAMP_ASC, offset=0) == []


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_after_a_flow_the_call_is_recorded_as_a_part_of_it(dont, api):
    """If a flow ran before in the same process, the task run is even recorded
    as a part of that flow run.
    """
    EventsWorker.drain_all()
    bill = dont.bill([120.0], return_state=True)
    state = dont.discounted(120.0, return_state=True)

    assert state.state_details.flow_run_id is None
    flow_run_id = bill.state_details.flow_run_id
    settles(lambda: flow_run_of(api, state), [("Completed", flow_run_id)])


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_the_retries_hold_outside_of_a_flow_too():
    """And the retries that you gave the task for the sake of the flow hold for
    the shop too.
    """
    calls = []

    @task(retries=2)
    def discounted(total):
        calls.append(total)
        return total * 0.9

    with pytest.raises(TypeError):
        discounted("120")
    assert len(calls) == 3


def test_the_plain_function_runs_anywhere_and_still_as_a_task(do, api):
    """For `bill` nothing changes: its task runs have the same name,
    `discounted`. The shop calls Python and needs no server.
    """
    with temporary_settings(NOWHERE):
        assert do.quote(120.0) == "You pay 108.0 EUR"
    assert (do.discounted(100.0), do.discounted(99.5)) == (90.0, 99.5)

    state = do.bill([120.0, 40.0], return_state=True)
    assert state.result() == 148.0
    settles(
        lambda: task_runs(api, state),
        [("discounted", "Completed", 1), ("discounted", "Completed", 1)],
    )


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_a_plain_call_takes_less_than_a_thousandth_of_a_task_run(do):
    """So does a unit test: a thousand plain calls take less time than one task
    run.
    """
    plain = min(repeat(lambda: do.discounted(120.0), number=1000, repeat=3))
    task_run = min(repeat(lambda: do.discount_task(120.0), number=1, repeat=3))

    assert plain < task_run  # a thousand calls against one


def test_the_function_under_the_task_needs_no_server(dont):
    """If only tests call the function outside of a flow, `discounted.fn(120.0)`
    is enough. It is the function that you decorated, and needs no server.
    """
    with temporary_settings(NOWHERE):
        assert dont.discounted.fn(120.0) == 108.0
    assert isfunction(dont.discounted.fn)


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_the_cache_does_not_see_a_change_in_a_function_that_the_task_calls(
    do, monkeypatch
):
    """With the cache policy `TASK_SOURCE`, a change of the task's own code
    makes a new key, but a change of a function that it calls does not. So a
    task that only calls the logic still gets the old value after you changed
    the logic. Decorate the logic itself, as `task(discounted)` in `do.py` does,
    and the key follows it.
    """
    policy = INPUTS + TASK_SOURCE

    @task(cache_policy=policy)
    def bill_one(total):
        return do.discounted(total)

    def discounted(total):
        return total * 0.5

    before = task(do.discounted, cache_policy=policy)
    assert (bill_one(120.0), before(120.0)) == (108.0, 108.0)
    assert before(120.0, return_state=True).name == "Cached"

    monkeypatch.setattr(do, "discounted", discounted)
    state = bill_one(120.0, return_state=True)
    assert (state.name, state.result()) == ("Cached", 108.0)
    assert task(do.discounted, cache_policy=policy)(120.0) == 60.0
