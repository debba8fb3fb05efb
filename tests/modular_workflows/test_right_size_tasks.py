from time import perf_counter

import pytest
from prefect import flow
from prefect.events.filters import EventAnyResourceFilter, EventFilter

from tests.observe import log_messages, settles, task_runs

PRICES = [12.5, 8.0, 3.2, 1.9, 7.4, 20.0]


@pytest.fixture
def small_batches(do, monkeypatch):
    monkeypatch.setattr(do, "BATCH", 3)


def test_each_price_is_a_task_run_or_each_batch_is(
    dont, do, small_batches, api
):
    each = dont.convert(PRICES, return_state=True)
    batches = do.convert(PRICES, return_state=True)

    assert each.result() == batches.result()
    done = ("in_euro", "Completed", 1)
    settles(lambda: task_runs(api, each), [done] * 6)
    settles(lambda: task_runs(api, batches), [done] * 2)


def test_a_task_run_leaves_three_states_three_events_and_a_log_line(dont, api):
    @flow
    def convert_one():
        state = dont.in_euro(12.5, return_state=True)
        return state.state_details.task_run_id

    state = convert_one(return_state=True)
    run = state.result()
    its_events = EventFilter(
        any_resource=EventAnyResourceFilter(id=[f"prefect.task-run.{run}"])
    )

    def states():
        return sorted(s.name for s in api.read_task_run_states(run))

    def events():
        return sorted(
            e.event for e in api.read_events(its_events, limit=9).events
        )

    names = ["Completed", "Pending", "Running"]
    settles(states, names)
    settles(events, [f"prefect.task-run.{name}" for name in names])
    finished = "Finished in state Completed()"  # the task run, the flow run
    settles(lambda: log_messages(api, state).count(finished), 2)


def test_a_task_run_takes_over_a_hundred_times_as_long_as_a_call(dont):
    @flow
    def seconds(convert_one):
        start = perf_counter()
        for _ in range(20):
            convert_one(12.5)
        return perf_counter() - start

    as_call, as_task_run = dont.in_euro.fn, dont.in_euro
    # The fastest of three: a busy machine adds time, and never takes any away.
    fastest_call = min(seconds(as_call) for _ in range(3))
    assert seconds(as_task_run) > 100 * fastest_call


def test_one_bad_price_fails_one_task_run_or_its_whole_batch(
    dont, do, small_batches, api
):
    def convert(program):
        unchecked = program.convert.with_options(validate_parameters=False)
        return unchecked([*PRICES[:5], None], return_state=True)

    each, batches = convert(dont), convert(do)

    done, failed = ("in_euro", "Completed", 1), ("in_euro", "Failed", 1)
    settles(lambda: task_runs(api, each), [done] * 5 + [failed])
    settles(lambda: task_runs(api, batches), [done, failed])
