import asyncio
import time

import pytest
from prefect import flow, task

from tests.observe import settles
from tests.programs import python


def waited(module) -> float:
    return max(module.attempts) - min(module.attempts)


def test_the_test_waits_for_the_retry_delays(dont, caplog):
    """A test of a retry waits as long as production does, unless the test takes
    the delay away.

    A test does not change that, so it waits for each delay.
    """
    dont.test_report_survives_two_failures()

    assert len(dont.attempts) == 3 and waited(dont) >= 4
    assert "- Retry 1/2 will start 2 second(s) from now" in caplog.text
    assert "- Retry 2/2 will start 2 second(s) from now" in caplog.text


def test_the_next_attempt_is_scheduled_with_the_delay(do, api):
    """When an attempt fails, Prefect gives the task run the state
    `AwaitingRetry` with a time in the future, and the next attempt begins at
    that time.
    """
    retry = do.load_prices.with_options(retries=1, retry_delay_seconds=1)
    state = retry("2026-03-01", return_state=True)

    def planned():
        found = api.read_task_run_states(state.state_details.task_run_id)
        return [
            round(
                (at.state_details.scheduled_time - at.timestamp).total_seconds()
            )
            for at in found
            if at.name == "AwaitingRetry"
        ]

    settles(planned, [1])
    assert waited(do) >= 1


def test_a_task_with_a_delay_of_zero_retries_at_once(do, caplog):
    """Replace the task by a copy of itself that has no delay.

    There are three attempts as before, and the log says `will start
    immediately`. `with_options` returns a new task and leaves `load_prices` as
    it is.
    """
    task = do.load_prices
    do.test_report_survives_two_failures()

    assert len(do.attempts) == 3 and waited(do) < 4
    for retry in ("1/2", "2/2"):
        assert f"- Retry {retry} will start immediately" in caplog.text
    assert do.load_prices is task
    assert (task.retries, task.retry_delay_seconds) == (2, 2)


def test_a_flow_takes_the_same_option():
    """A `flow` takes the same option."""
    attempts = []

    @flow(retries=1, retry_delay_seconds=60)
    def nightly():
        attempts.append(time.monotonic())
        assert len(attempts) == 2

    nightly.with_options(retry_delay_seconds=0)()
    assert attempts[1] - attempts[0] < 60


def test_the_attribute_reaches_every_module_that_imported_the_task(
    dont, monkeypatch
):
    """If several modules import the task, change the attribute of the one task
    that they share: `monkeypatch.setattr(load_prices, "retry_delay_seconds",
    0)`.
    """
    monkeypatch.setattr(dont.load_prices, "retry_delay_seconds", 0)
    dont.test_report_survives_two_failures()
    assert len(dont.attempts) == 3 and waited(dont) < 4


def test_a_test_without_retries_sees_the_first_attempt_only(dont, monkeypatch):
    """With `retries=0` the test is fast too, but the second attempt never
    happens.
    """
    once = dont.load_prices.with_options(retries=0)
    monkeypatch.setattr(dont, "load_prices", once)
    with pytest.raises(ConnectionError):
        dont.test_report_survives_two_failures()
    assert len(dont.attempts) == 1


def test_a_patched_sleep_leaves_an_async_task_waiting(monkeypatch):
    """A patched `time.sleep` makes every sleep in the process return at once,
    and an async task waits nevertheless.
    """
    attempts = []

    @task(retries=1, retry_delay_seconds=1)
    async def load_prices():
        attempts.append(time.monotonic())
        assert len(attempts) == 2

    @flow
    async def price_report():
        await load_prices()

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    asyncio.run(price_report())
    assert attempts[1] - attempts[0] >= 1


def test_another_process_has_the_delays(do, tmp_path, monkeypatch):
    """The copy exists only in the process of the test. A flow that runs in a
    process of its own, as under a worker, imports the task again and has its
    delays.
    """
    monkeypatch.setattr(do.load_prices, "retry_delay_seconds", 0)
    (tmp_path / "read.py").write_text(
        "from do import load_prices\nprint(load_prices.retry_delay_seconds)"
    )
    (tmp_path / "do.py").symlink_to(do.__file__)
    assert python("read.py", cwd=tmp_path).stdout == "2\n"
