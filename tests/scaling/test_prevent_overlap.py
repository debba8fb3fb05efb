import asyncio
import json
import shutil
from datetime import datetime
from functools import partial
from inspect import signature
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.runner import Runner
from prefect.states import Pending
from prefect.workers.process import ProcessWorker

from tests.backend import LEASES_IN_FILES, end_leases, prefect_server
from tests.observe import client_of, settles
from tests.programs import python

ROOM = Path("snippets/scaling/prevent_overlap").resolve()
NAME = "load-orders/prevent-overlap"


@flow
def load() -> None: ...


@pytest.fixture
def deploy(api):
    """Deploy until the test ends, by default with a limit of one run."""
    deployments = []

    def add(deployment) -> str:
        deployments.append(deployment.apply())
        return deployments[-1]

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


@pytest.fixture
def pool(api):
    pool = WorkPoolCreate(name="prevent-overlap", type="process")
    api.create_work_pool(pool)
    yield pool.name
    api.delete_work_pool(pool.name)


@pytest.fixture(autouse=True)
def nothing_is_left(api):
    yield
    for deployment in api.read_deployments():
        if deployment.name == "prevent-overlap":
            api.delete_deployment(deployment.id)


def start(api, deployment):
    """Ask for Pending, as a worker does, and give the state that it gets."""
    run = api.create_flow_run_from_deployment(deployment)
    return api.set_flow_run_state(run.id, Pending()).state


def begins(api, deployment) -> bool:
    return start(api, deployment).is_pending()


def test_without_a_limit_the_next_run_overtakes(dont, capsys):
    """The server agrees, because nobody told it that one run is enough. The run
    of 02:30 finishes first, then the run of 02:00 adds its rows to a full
    table.
    """
    dont.deploy()
    dont.start_run("02:00")

    assert dont.table == ["order-1", "order-2"] * 2
    assert capsys.readouterr().out == (
        "Run of 02:30: Completed\nRun of 02:00: Completed\n"
    )


def test_a_schedule_does_not_wait(deploy, api):
    """A schedule does not wait for the last run to end, so a slow run of a
    deployment is overtaken by the next one.
    """
    deployment = deploy(load.to_deployment("half-hourly", cron="*/30 * * * *"))
    slow = start(api, deployment)

    def planned() -> bool:
        this = DeploymentFilter(id={"any_": [deployment]})
        runs = api.read_flow_runs(deployment_filter=this)
        return sum(run.auto_scheduled for run in runs) > 1

    settles(planned, True)
    assert slow.is_pending() and begins(api, deployment)


def test_with_a_limit_the_next_run_is_cancelled(do, capsys):
    """Now the server does not agree, and the second run never starts."""
    do.deploy()
    do.start_run("02:00")

    assert do.table == ["order-1", "order-2"]
    assert capsys.readouterr().out == (
        "Run of 02:30: Cancelled\nRun of 02:00: Completed\n"
    )


def test_the_limit_is_free_again_when_the_run_has_ended(do, capsys):
    """When the first run has ended, the next one may start."""
    do.deploy()
    for _ in range(2):
        do.start_run("02:00")

    assert capsys.readouterr().out.count("Run of 02:00: Completed\n") == 2


@pytest.mark.parametrize("by", ["serve", "worker"])
def test_a_real_runner_is_refused(by, deploy, api, pool):
    """Before a worker or `serve` starts one, it asks the server for the state
    `Pending`.
    """
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    if by == "serve":
        process = Runner(pause_on_shutdown=False)
        deployment = process.add_flow(load, "overlap", concurrency_limit=one)
    else:
        process = ProcessWorker(work_pool_name=pool)
        deployment = load.to_deployment(
            "overlap", work_pool_name=pool, concurrency_limit=one
        ).apply()
    assert start(api, deployment).is_pending()
    second = api.create_flow_run_from_deployment(deployment)

    asyncio.run(process.start(run_once=True))

    refused = api.read_flow_run(second.id).state
    assert refused.name == "Cancelled"
    assert refused.message == "Deployment concurrency limit reached."
    api.delete_deployment(deployment)


def test_what_happens_to_a_run_that_comes_too_early(deploy, api, table):
    """Say what happens to a run that comes too early:"""
    advice = {
        "CANCEL_NEW": "each run does all the work there is, such as this load",
        "ENQUEUE": "each run has work of its own, such as one day",
    }
    default = ConcurrencyLimitConfig(limit=1).collision_strategy
    rows = []
    for strategy, right in advice.items():
        one = ConcurrencyLimitConfig(limit=1, collision_strategy=strategy)
        deployment = deploy(
            load.to_deployment(f"early-{strategy}", concurrency_limit=one)
        )
        assert start(api, deployment).is_pending()
        early = start(api, deployment)
        saw = f"is `{early.name}`"
        if early.is_scheduled():
            again = early.state_details.scheduled_time - early.timestamp
            saw += (
                f", and tries again after {again.total_seconds():.0f} seconds"
            )
        known = ", the default" if strategy == default else ""
        rows.append([f"`{strategy}`{known}", saw, right])
    head = ["`collision_strategy`", "The next run", "Advice: right when"]
    table("strategies.md", head, rows)
    assert early.name == "AwaitingConcurrencySlot"


def test_serve_calls_it_global_limit(do, api, monkeypatch):
    """`flow.deploy` takes the same argument as `to_deployment`.

    In `flow.serve` the same argument is called `global_limit`. Its `limit` is
    something else: it counts the runs of this one process.
    """
    deploy = signature(do.load_orders.deploy).parameters["concurrency_limit"]
    assert "ConcurrencyLimitConfig" in str(deploy.annotation)

    async def start(self, **options) -> None: ...

    monkeypatch.setattr(Runner, "start", start)
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    serve = flow(do.load_orders.fn).serve
    with pytest.raises(TypeError):
        serve("prevent-overlap", concurrency_limit=one)

    serve("prevent-overlap", global_limit=one)
    served = api.read_deployment_by_name(NAME)
    assert served.global_concurrency_limit.limit == 1
    assert served.concurrency_options.collision_strategy == "CANCEL_NEW"

    serve("prevent-overlap", limit=1)
    assert api.read_deployment_by_name(NAME).global_concurrency_limit is None


def test_the_limit_in_prefect_yaml(api, pool, do, tmp_path):
    """In `prefect.yaml` it looks like this:"""
    for name in "prefect.yaml", "do.py":
        shutil.copy(ROOM / name, tmp_path)
    ended = python(
        *("-m", "prefect", "--no-prompt", "deploy", "--all"), cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stdout
    deployed = api.read_deployment_by_name(NAME)
    assert deployed.entrypoint == "do.py:load_orders"
    assert deployed.work_pool_name == pool
    assert deployed.global_concurrency_limit.limit == 1
    assert deployed.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert deployed.concurrency_options.grace_period_seconds == 1800


def test_a_run_that_starts_slowly_loses_its_slot(tmp_path):
    """A run that is `Pending` for longer loses its slot, and a second run may
    start beside it. Prefect gives it five minutes, or the
    `grace_period_seconds` of the limit.
    """
    with (
        prefect_server(tmp_path, **LEASES_IN_FILES) as url,
        client_of(url) as api,
    ):
        for grace in 1800, None:
            one = ConcurrencyLimitConfig(
                limit=1,
                collision_strategy="CANCEL_NEW",
                grace_period_seconds=grace,
            )
            deployment = load.to_deployment(
                "slow", concurrency_limit=one
            ).apply()
            state = start(api, deployment)
            lease = state.state_details.deployment_concurrency_lease_id
            file = tmp_path / f"concurrency_leases/{lease}.json"
            said = json.loads(file.read_text())
            ends, began = (
                datetime.fromisoformat(said[key])
                for key in ("expiration", "created_at")
            )
            assert round((ends - began).total_seconds()) == (grace or 300)
            assert start(api, deployment).is_cancelled()
            end_leases(tmp_path)
            settles(partial(begins, api, deployment), True)
            api.delete_deployment(deployment)


def test_a_second_deployment_and_a_plain_call_are_not_limited(deploy, api):
    """The limit counts the runs of one deployment. It does not count a run of
    another deployment of the same flow, or a run that you start by calling the
    flow.
    """
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    for name in "overlap-a", "overlap-b":
        deployment = deploy(load.to_deployment(name, concurrency_limit=one))
        assert start(api, deployment).is_pending()

    assert load(return_state=True).is_completed()


def test_to_deploy_without_the_limit_removes_it(do, dont, api):
    """To deploy again without it removes it, without a word."""
    do.deploy()
    deployed = api.read_deployment_by_name(NAME)
    assert deployed.global_concurrency_limit.limit == 1
    assert deployed.concurrency_options.collision_strategy == "CANCEL_NEW"
    dont.deploy()
    assert api.read_deployment_by_name(NAME).global_concurrency_limit is None
