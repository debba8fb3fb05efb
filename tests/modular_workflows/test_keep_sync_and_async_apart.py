import asyncio
from contextlib import closing
from functools import partial
from threading import Barrier
from types import SimpleNamespace

import pytest
from prefect import flow, task
from prefect.blocks.system import Secret
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import arun_deployment, run_deployment
from prefect.runner import Runner
from prefect.variables import Variable

from tests.backend import patient
from tests.book import ROOT
from tests.observe import log_messages, settles, task_runs
from tests.programs import python

SAVED = [("save_rate", "Completed", 1)]


def test_an_async_task_called_in_a_sync_flow_never_runs(dont, api):
    """A call of an async task only makes a coroutine, and a sync flow cannot
    await it, so the task never runs and nothing fails.

    A call of an async `task` returns a coroutine, as in plain Python, and a
    coroutine that nobody awaits does nothing. There is no task run, so nothing
    can fail. Python prints its `RuntimeWarning` to the error output of the
    process, and the server never hears of it.
    """
    warning = "coroutine 'run_task_async' was never awaited"
    with pytest.warns(RuntimeWarning, match=warning):
        state = dont.daily_rates(["USD", "GBP"], return_state=True)

    assert state.is_completed()
    assert dont.saved == {}
    settles(
        lambda: log_messages(api, state)[-1:], ["Finished in state Completed()"]
    )
    assert warning not in "".join(log_messages(api, state))
    assert task_runs(api, state) == []


def test_an_async_flow_called_in_a_sync_flow_is_lost_too(do, api):
    """An async flow that you call in a sync flow is lost in the same way."""

    @flow
    def nightly():
        do.daily_rates(["USD"])

    warning = "coroutine 'run_flow_async' was never awaited"
    with pytest.warns(RuntimeWarning, match=warning):
        state = nightly(return_state=True)
    assert state.is_completed()
    assert do.saved == {}


def test_awaited_task_runs_run_at_the_same_time(do, api, monkeypatch):
    """It awaits the task runs with `gather`, which runs them at the same
    time.
    """
    meet, currencies = asyncio.Barrier(3), ["USD", "GBP", "JPY"]

    async def sleep(seconds):
        assert seconds == 0.1
        await asyncio.wait_for(meet.wait(), patient(30))

    its_asyncio = SimpleNamespace(sleep=sleep, gather=asyncio.gather)
    monkeypatch.setattr(do, "asyncio", its_asyncio)
    state = asyncio.run(do.daily_rates(currencies, return_state=True))

    assert do.saved == {"USD": 1.08, "GBP": 0.86, "JPY": 161.2}
    settles(lambda: task_runs(api, state), SAVED * 3)


def test_a_deployment_needs_no_asyncio_run(do, api):
    """`asyncio.run` is only for a program that you start yourself: a run of a
    deployment needs none.
    """
    deployment = Runner().add_flow(do.daily_rates, name="keep-apart")
    run = run_deployment(
        deployment, parameters={"currencies": ["JPY"]}, timeout=0
    )
    python("-m", "prefect.engine", str(run.id), cwd=ROOT)

    state = api.read_flow_run(run.id).state
    assert state.name == "Completed"
    settles(lambda: task_runs(api, state), SAVED)
    api.delete_deployment(deployment)


def test_submitted_sync_tasks_run_at_the_same_time():
    """Tasks still run at the same time if you `submit` them, because each gets
    a thread.
    """
    meet = task(Barrier(2, timeout=patient(30)).wait, name="meet")

    @flow
    def two():
        futures = [meet.submit() for _ in range(2)]
        return {future.result() for future in futures}

    assert two() == {0, 1}


def test_a_future_cannot_be_awaited(do):
    """`submit` and `map` return futures in both kinds of flow, and a future
    cannot be awaited.
    """

    @flow
    def sync_flow():
        return [do.save_rate.submit("USD"), *do.save_rate.map(["GBP"])]

    @flow
    async def async_flow():
        futures = do.save_rate.map(["USD"])
        await asyncio.to_thread(futures.wait)
        await do.save_rate.submit("GBP")

    assert sync_flow(return_state=True).is_completed()
    message = (
        "object PrefectConcurrentFuture can't be used in 'await' expression"
    )
    with pytest.raises(TypeError, match=message):
        asyncio.run(async_flow())


@pytest.fixture
def saved(do, api):
    """A block, a Variable and a deployment to ask for."""
    Secret(value="not-a-real-key").save("example-bank-key", overwrite=True)
    Variable.set("example_bank", "north", overwrite=True)
    deployment = Runner().add_flow(do.daily_rates, name="keep-apart")
    yield deployment
    Variable.unset("example_bank")
    api.delete_deployment(deployment)


def test_async_code_gets_a_coroutine_instead_of_a_value(saved):
    """Functions that have two forms, such as `Secret.load`, `Variable.get` and
    `run_deployment`, return a coroutine if the flow or task that runs is async.
    The function around the call does not count: a plain `def` helper of an
    async flow gets the coroutine, and a sync task that you call in an async
    flow gets the value. Outside of flows and tasks you get the coroutine where
    an event loop runs, for example in a notebook.
    """

    def helper():
        found = [
            Secret.load("example-bank-key"),
            Variable.get("example_bank"),
            run_deployment(saved, parameters={"currencies": []}, timeout=0),
        ]
        for one in filter(asyncio.iscoroutine, found):
            one.close()
        return [type(one).__name__ for one in found]

    @flow
    async def async_flow():
        return helper(), await task(in_async_task)(), task(helper)()

    async def in_async_task():
        return helper()

    async def neither():
        return helper()

    coroutines, values = ["coroutine"] * 3, ["Secret", "str", "FlowRun"]
    assert asyncio.run(async_flow()) == (coroutines, coroutines, values)
    assert asyncio.run(neither()) == coroutines
    assert helper() == values

    @flow
    async def load_key():
        with closing(Secret.load("example-bank-key")) as loaded:
            return loaded.get()

    message = "'coroutine' object has no attribute 'get'"
    with pytest.raises(AttributeError, match=message):
        asyncio.run(load_key())


def test_a_run_deployment_that_nobody_awaits_starts_no_run(saved, api):
    """A `run_deployment` that nobody awaits starts no run, and the flow is
    `Completed`.
    """

    @flow
    async def nightly():
        run_deployment(saved, parameters={"currencies": []}, timeout=0)

    warning = "coroutine 'arun_deployment' was never awaited"
    with pytest.warns(RuntimeWarning, match=warning):
        state = asyncio.run(nightly(return_state=True))
    this_one = DeploymentFilter(id={"any_": [saved]})
    assert state.is_completed()
    assert api.read_flow_runs(deployment_filter=this_one) == []


def test_a_sync_task_called_in_an_async_flow_blocks_the_event_loop():
    """You can call a sync task in an async flow, but it runs in the thread of
    the event loop, and until it ends nothing else in the flow goes on.
    """

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


def test_the_ways_to_mix_them(saved, table):
    """When a library forces you to mix, do it in these ways:"""

    @task
    def load():
        return 1.08

    @task
    async def fetch():
        return 0.86

    options = {"parameters": {"currencies": []}, "timeout": 0}
    known = {
        "asyncio": asyncio,
        "load": load,
        "fetch": fetch,
        "Secret": Secret,
        "Variable": Variable,
        "run_deployment": partial(run_deployment, **options),
        "arun_deployment": partial(arun_deployment, **options),
        "name": saved,
    }
    rows = []
    for needed, in_sync, in_async, kind in (
        (
            "the value of a sync task",
            "load()",
            "await asyncio.to_thread(load.submit().result)",
            float,
        ),
        (
            "the value of an async task",
            "fetch.submit().result()",
            "await fetch()",
            float,
        ),
        (
            "a block",
            "Secret.load('example-bank-key')",
            "await Secret.aload('example-bank-key')",
            Secret,
        ),
        (
            "a Variable",
            "Variable.get('example_bank')",
            "await Variable.aget('example_bank')",
            str,
        ),
        (
            "a run of a deployment",
            "run_deployment(name)",
            "await arun_deployment(name)",
            FlowRun,
        ),
    ):
        exec(f"def sync_flow(): return {in_sync}", known)
        exec(f"async def async_flow(): return {in_async}", known)
        assert isinstance(flow(known["sync_flow"])(), kind)
        assert isinstance(asyncio.run(flow(known["async_flow"])()), kind)
        rows.append([needed, f"`{in_sync}`", f"`{in_async}`"])

    table("ways.md", ["You need", "In a sync flow", "In an async flow"], rows)
