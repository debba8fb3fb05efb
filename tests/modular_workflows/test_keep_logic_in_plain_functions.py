from timeit import repeat

import pytest
from prefect import task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.schemas.filters import TaskRunFilter
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.observe import settles, task_runs

NOWHERE = {PREFECT_API_URL: "http://127.0.0.1:9/api"}


def test_a_function_that_is_a_task_cannot_run_without_the_server(dont):
    with (
        temporary_settings(NOWHERE),
        pytest.raises(RuntimeError, match="Failed to reach API at"),
    ):
        dont.quote(120.0)


def flow_run_of(api, state):
    """The state and the flow run that the server has of a task run."""
    this_run = TaskRunFilter(id={"any_": [state.state_details.task_run_id]})
    runs = api.read_task_runs(task_run_filter=this_run, sort="ID_DESC")
    return [(run.state_name, run.flow_run_id) for run in runs]


def test_each_call_of_it_is_a_task_run_of_its_own(dont, api):
    EventsWorker.drain_all()  # it may know a flow of another test
    warning = "attempted to send logs to the API without a flow run id"
    with pytest.warns(UserWarning, match=warning):
        state = dont.discounted(120.0, return_state=True)

    settles(lambda: flow_run_of(api, state), [("Completed", None)])


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_after_a_flow_the_call_is_recorded_as_a_part_of_it(dont, api):
    EventsWorker.drain_all()
    bill = dont.bill([120.0], return_state=True)
    state = dont.discounted(120.0, return_state=True)

    assert state.state_details.flow_run_id is None
    flow_run_id = bill.state_details.flow_run_id
    settles(lambda: flow_run_of(api, state), [("Completed", flow_run_id)])


def test_the_plain_function_runs_anywhere_and_still_as_a_task(do, api):
    with temporary_settings(NOWHERE):
        assert do.quote(120.0) == "You pay 108.0 EUR"

    state = do.bill([120.0, 40.0], return_state=True)
    assert state.result() == 148.0
    settles(
        lambda: task_runs(api, state),
        [("discounted", "Completed", 1), ("discounted", "Completed", 1)],
    )


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_a_plain_call_takes_less_than_a_thousandth_of_a_task_run(do):
    plain = min(repeat(lambda: do.discounted(120.0), number=1000, repeat=3))
    task_run = min(repeat(lambda: do.discount_task(120.0), number=1, repeat=3))

    assert plain < task_run  # a thousand calls against one


@pytest.mark.filterwarnings("ignore:.*without a flow run id")
def test_the_cache_does_not_see_a_change_in_a_function_that_the_task_calls(
    do, monkeypatch
):
    @task(cache_policy=INPUTS + TASK_SOURCE)
    def bill_one(total):
        return do.discounted(total)

    assert bill_one(120.0) == 108.0
    monkeypatch.setattr(do, "discounted", lambda total: total * 0.5)
    state = bill_one(120.0, return_state=True)
    assert (state.name, state.result()) == ("Cached", 108.0)
