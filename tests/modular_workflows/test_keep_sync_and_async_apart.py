import asyncio
from contextlib import closing

import pytest
from prefect import flow, task
from prefect.blocks.system import Secret

from tests.observe import settles, task_runs

SAVED = [("save_rate", "Completed", 1)]


def test_an_async_task_called_in_a_sync_flow_never_runs(dont, api):
    warning = "coroutine 'run_task_async' was never awaited"
    with pytest.warns(RuntimeWarning, match=warning):
        state = dont.daily_rates(["USD", "GBP"], return_state=True)

    assert state.is_completed()
    assert dont.saved == {}
    assert task_runs(api, state) == []


def test_an_async_task_awaited_in_an_async_flow_runs(do, api):
    state = asyncio.run(do.daily_rates(["USD", "GBP"], return_state=True))

    assert list(do.saved) == ["USD", "GBP"]
    settles(lambda: task_runs(api, state), SAVED * 2)


def test_submit_takes_an_async_task_into_a_sync_flow(do):
    @flow
    def daily_rates():
        do.save_rate.submit("USD").result()

    daily_rates()
    assert list(do.saved) == ["USD"]


def test_a_future_cannot_be_awaited(do):
    @flow
    async def daily_rates():
        await do.save_rate.submit("USD")

    message = (
        "object PrefectConcurrentFuture can't be used in 'await' expression"
    )
    with pytest.raises(TypeError, match=message):
        asyncio.run(daily_rates())


def test_async_code_must_await_the_async_twin_of_load():
    Secret(value="not-a-real-key").save("example-bank-key", overwrite=True)

    def helper():
        with closing(Secret.load("example-bank-key")) as loaded:
            return loaded.get()

    @flow
    async def load_key():
        return helper()

    @flow
    async def await_key():
        return (await Secret.aload("example-bank-key")).get()

    message = "'coroutine' object has no attribute 'get'"
    with pytest.raises(AttributeError, match=message):
        asyncio.run(load_key())
    assert asyncio.run(await_key()) == "not-a-real-key"


def test_a_sync_task_called_in_an_async_flow_blocks_the_event_loop():
    @task
    def is_in_the_event_loop():
        try:
            return asyncio.get_running_loop().is_running()
        except RuntimeError:
            return False

    @flow
    async def two_ways():
        called = is_in_the_event_loop()
        submitted = is_in_the_event_loop.submit()
        return called, await asyncio.to_thread(submitted.result)

    assert asyncio.run(two_ways()) == (True, False)
