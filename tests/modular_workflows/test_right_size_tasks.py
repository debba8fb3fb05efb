import asyncio
import re
from collections import Counter
from datetime import timedelta
from time import perf_counter

import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter
from prefect.events.filters import EventAnyResourceFilter, EventFilter
from prefect.events.worker import EventsWorker
from prefect.settings.models.server import ServerSettings

from tests.observe import log_messages, settles, task_runs

PRICES = [12.5, 8.0, 3.2, 1.9, 7.4, 20.0]


@pytest.fixture
def small_batches(do, monkeypatch):
    assert do.BATCH == 50
    monkeypatch.setattr(do, "BATCH", 3)


def test_each_price_is_a_task_run_or_each_batch_is(
    dont, do, small_batches, api
):
    """The calculation stays the same, and Prefect sees 4 task runs instead of
    200.
    """
    assert 200 / 50 == 4
    each = dont.convert(PRICES, return_state=True)
    batches = do.convert(PRICES, return_state=True)

    assert each.result() == batches.result()
    done = ("in_euro", "Completed", 1)
    settles(lambda: task_runs(api, each), [done] * 6)
    settles(lambda: task_runs(api, batches), [done] * 2)


def test_a_task_run_leaves_three_states_three_events_and_a_log_line(dont, api):
    """Prefect takes each task run through three states: `Pending`, `Running`
    and `Completed`. Each state goes to the server as an event, and the server
    stores the event and the state. The line `Finished in state Completed()`
    goes there too. So 200 prices leave 200 task runs with 600 states, 600
    events and 200 log lines.
    """
    state = dont.convert(PRICES, return_state=True)
    settles(lambda: len(task_runs(api, state)), len(PRICES))
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    runs = [run.id for run in api.read_task_runs(flow_run_filter=this_run)]
    its_events = EventFilter(
        any_resource=EventAnyResourceFilter(
            id=[f"prefect.task-run.{run}" for run in runs]
        )
    )

    def states():
        return Counter(
            state.name
            for run in runs
            for state in api.read_task_run_states(run)
        )

    def events():
        return Counter(
            e.event for e in api.read_events(its_events, limit=50).events
        )

    names = ["Pending", "Running", "Completed"]
    settles(states, dict.fromkeys(names, len(runs)))
    settles(
        events,
        {f"prefect.task-run.{name}": len(runs) for name in names},
    )
    finished = "Finished in state Completed()"  # the task runs, the flow run
    settles(lambda: log_messages(api, state).count(finished), len(runs) + 1)
    assert (200 * len(names), 200 * 1) == (600, 200)


def test_the_process_waits_for_a_slow_server(dont, monkeypatch, caplog):
    """The events are sent in the background, so if the server is slower than
    the flow, the process waits for it at its end, and says how many items
    remain.
    """
    handle = EventsWorker._handle

    async def handle_slowly(worker, event):
        await asyncio.sleep(0.05)
        await handle(worker, event)

    EventsWorker.drain_all()
    monkeypatch.setattr(EventsWorker, "_handle", handle_slowly)
    dont.convert(PRICES)
    EventsWorker.drain_all()  # as at the end of a program
    assert re.search(
        r"Still processing items: \d+ items remaining", caplog.text
    )
    assert "Still processing items:" in caplog.text


def test_by_default_the_server_deletes_events_only():
    """It deletes events after seven days, but by default it keeps the task
    runs, their states and their logs until you trim it.
    """
    server = ServerSettings()
    assert server.events.retention_period == timedelta(days=7)
    assert server.services.db_vacuum.enabled == {"events"}


def test_a_task_run_takes_over_a_hundred_times_as_long_as_a_call(dont):
    """Prefect writes several records for each task run, so a task run for each
    small calculation costs far more than the calculation.

    20 task runs take more than 100 times as long as 20 plain calls of the
    same function.
    """

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
    """A batch fails as a whole. One bad price costs one conversion in
    `dont.py`, and in `do.py` all conversions of its batch.
    """

    def convert(program):
        unchecked = program.convert.with_options(validate_parameters=False)
        return unchecked([*PRICES[:5], None], return_state=True)

    each, batches = convert(dont), convert(do)

    done, failed = ("in_euro", "Completed", 1), ("in_euro", "Failed", 1)
    settles(lambda: task_runs(api, each), [done] * 5 + [failed])
    settles(lambda: task_runs(api, batches), [done, failed])
