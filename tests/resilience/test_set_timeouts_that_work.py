import asyncio
import time
from contextlib import contextmanager

import pytest
from prefect import flow, task
from prefect.task_runners import ProcessPoolTaskRunner


def test_a_submitted_task_waits_for_the_answer_and_throws_it_away(dont, caplog):
    assert dont.load_rates() == "TimedOut, answers of the service: 1"

    assert "Task run exceeded timeout of 1.0 second(s)" in caplog.messages
    assert (
        "Timeout of 1.0 seconds configured for this task, but the task is"
        " running in a worker thread." in caplog.text
    )


def test_a_timeout_of_the_client_ends_the_wait(do):
    assert do.load_rates() == "Failed, answers of the service: 0"


def test_a_process_pool_can_interrupt_the_task(dont):
    in_a_process = dont.load_rates.with_options(
        task_runner=ProcessPoolTaskRunner(max_workers=1)
    )
    assert in_a_process() == "TimedOut, answers of the service: 0"


@contextmanager
def measured(spent):
    begin = time.monotonic()
    try:
        yield
    finally:
        spent.append(time.monotonic() - begin)


@task(timeout_seconds=0.5)
def block(seconds, spent):
    with measured(spent):
        time.sleep(seconds)


@task(timeout_seconds=0.5)
def loop(seconds, spent):
    with measured(spent):
        for _ in range(100):
            time.sleep(seconds / 100)


@task(timeout_seconds=0.5)
async def block_in_async(seconds, spent):
    with measured(spent):
        time.sleep(seconds)


@task(timeout_seconds=0.5)
async def wait_in_async(seconds, spent):
    with measured(spent):
        await asyncio.sleep(seconds)


def call(a_task, *arguments):
    return a_task(*arguments, return_state=True)


def submit(a_task, *arguments):
    future = a_task.submit(*arguments)
    future.wait()
    return future.state


@pytest.mark.parametrize(
    ("start", "a_task", "flow_timeout", "stops", "ends"),
    [
        (call, block, None, True, "TimedOut"),
        (call, block, 60, False, "TimedOut"),
        (submit, block, None, False, "TimedOut"),
        (submit, loop, None, True, "TimedOut"),
        (submit, wait_in_async, None, True, "TimedOut"),
        (submit, block_in_async, None, False, "Completed"),
    ],
)
def test_only_what_can_be_interrupted_stops_in_time(
    start, a_task, flow_timeout, stops, ends
):
    spent = []
    seconds = 30 if stops else 1

    @flow(timeout_seconds=flow_timeout)
    def load_rates():
        return start(a_task, seconds, spent).name

    assert load_rates() == ends
    assert (spent[0] < seconds) == stops
