import asyncio
import time

import pytest
from prefect import flow, task


def waited(module) -> float:
    return module.attempts[-1] - module.attempts[0]


def test_the_test_waits_for_the_retry_delays(dont, caplog):
    dont.test_report_survives_two_failures()

    assert len(dont.attempts) == 3 and waited(dont) >= 4
    assert "- Retry 1/2 will start 2 second(s) from now" in caplog.text


def test_a_task_with_a_delay_of_zero_retries_at_once(do, caplog):
    do.test_report_survives_two_failures()

    assert len(do.attempts) == 3 and waited(do) < 4
    assert "- Retry 2/2 will start immediately" in caplog.text
    assert do.load_prices.retry_delay_seconds == 2


def test_a_flow_takes_the_same_option():
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
    monkeypatch.setattr(dont.load_prices, "retry_delay_seconds", 0)
    dont.test_report_survives_two_failures()
    assert waited(dont) < 4


def test_a_test_without_retries_sees_the_first_attempt_only(dont, monkeypatch):
    once = dont.load_prices.with_options(retries=0)
    monkeypatch.setattr(dont, "load_prices", once)
    with pytest.raises(ConnectionError):
        dont.test_report_survives_two_failures()
    assert len(dont.attempts) == 1


def test_a_patched_sleep_leaves_an_async_task_waiting(monkeypatch):
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
