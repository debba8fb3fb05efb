import asyncio

import pytest
from prefect.client.schemas.filters import DeploymentFilter
from prefect.runner import Runner
from prefect.workers.process import ProcessWorker

from tests.observe import settles

MONDAYS = "0 6 * * 1"


@pytest.fixture
def serve(dont, api):
    """The Runner that flow.serve makes, and the id of its deployment."""
    deployments = set()

    def add(**options) -> tuple[Runner, str]:
        runner = Runner(**options)
        new = runner.add_flow(dont.load_orders, "served", cron=MONDAYS)
        deployments.add(new)
        return runner, new

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


@pytest.fixture
def deployed(do, api):
    do.deploy()
    deployment = api.read_deployment_by_name(do.NAME).id
    yield deployment
    api.delete_deployment(deployment)


def plans(api, deployment) -> bool:
    """Whether the server has planned runs of the deployment."""
    this = DeploymentFilter(id={"any_": [deployment]})
    return bool(api.read_flow_runs(deployment_filter=this, limit=1))


def test_stopping_pauses_the_schedule_and_drops_its_runs(serve, api, caplog):
    runner, deployment = serve()
    settles(lambda: plans(api, deployment), True)

    asyncio.run(runner.start(run_once=True))

    assert "All deployments have been paused!" in caplog.messages
    assert api.read_deployment(deployment).paused
    settles(lambda: plans(api, deployment), False)


def test_an_old_process_that_stops_pauses_what_a_new_one_serves(serve, api):
    (old, deployment), (new, _) = serve(), serve()

    async def restart() -> None:
        async with new:
            async with old:
                assert not api.read_deployment(deployment).paused
            assert new.started and api.read_deployment(deployment).paused

    asyncio.run(restart())
    serve()
    assert not api.read_deployment(deployment).paused


def test_without_pause_on_shutdown_the_schedule_stays_active(serve, api):
    runner, deployment = serve(pause_on_shutdown=False)
    asyncio.run(runner.start(run_once=True))
    assert not api.read_deployment(deployment).paused


def test_a_worker_that_stops_leaves_the_schedule_and_its_runs(
    do, deployed, api
):
    settles(lambda: plans(api, deployed), True)

    asyncio.run(ProcessWorker(work_pool_name=do.POOL).start(run_once=True))

    assert do.schedule() == "active"
    assert plans(api, deployed)


def test_deploy_wants_to_know_where_the_code_is(do, deployed):
    with pytest.raises(ValueError) as refused:
        do.load_orders.deploy("no-source", work_pool_name=do.POOL)
    assert str(refused.value) == (
        "Either an image or remote storage location must be provided when"
        " deploying a deployment."
    )
