import asyncio
import os
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.schemas.filters import DeploymentFilter
from prefect.runner import Runner
from prefect.workers.process import ProcessWorker

from tests.observe import settles

POOL = "serve-or-deploy-test"


@pytest.fixture
def serve(dont, api):
    """The Runner that flow.serve makes, and the id of its deployment."""
    deployments = set()

    def add(**options) -> tuple[Runner, str]:
        runner = Runner(**options)
        new = runner.add_flow(dont.load_orders, "served", schedule=dont.MONDAYS)
        deployments.add(new)
        return runner, new

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


@pytest.fixture
def deployed(do, api):
    deployment = do.deploy(POOL)
    yield deployment
    api.delete_deployment(deployment)
    api.delete_work_pool(POOL)


def stop(process: Runner | ProcessWorker) -> None:
    """Let it ask for work once, and stop."""
    asyncio.run(process.start(run_once=True))


def plans(api, deployment) -> bool:
    """Whether the server has planned runs of the deployment."""
    this = DeploymentFilter(id={"any_": [deployment]})
    return bool(api.read_flow_runs(deployment_filter=this, limit=1))


def test_stopping_pauses_the_schedule_and_drops_its_runs(serve, api, caplog):
    """When it is told to stop, it pauses the deployment, and the server deletes
    the runs that it had planned. What was due while the process was away is
    not late: it does not exist.
    """
    runner, deployment = serve()
    settles(lambda: plans(api, deployment), True)

    stop(runner)

    assert "All deployments have been paused!" in caplog.messages
    assert api.read_deployment(deployment).paused
    settles(lambda: plans(api, deployment), False)


@flow
def write_parent(file: str) -> None:
    Path(file).write_text(str(os.getppid()))


def test_serve_starts_its_runs_as_child_processes(api, tmp_path):
    """`serve` writes the deployment to the server, and starts its runs as child
    processes.
    """
    runner = Runner()
    deployment = runner.add_flow(write_parent, "served-parent")
    file = tmp_path / "parent"
    api.create_flow_run_from_deployment(
        deployment, parameters={"file": str(file)}
    )
    stop(runner)
    assert file.read_text() == str(os.getpid())
    api.delete_deployment(deployment)


def test_an_old_process_that_stops_pauses_what_a_new_one_serves(serve, api):
    """The next start of `serve` makes the schedule active again, so a stop
    before a start does no lasting harm. A rolling restart does. The new process
    starts first, then the old one stops and pauses the deployment of both. The
    new process goes on asking for work, and the server plans none.
    """
    (old, deployment), (new, _) = serve(), serve()

    async def restart() -> None:
        async with new:
            async with old:
                assert not api.read_deployment(deployment).paused
            assert new.started and api.read_deployment(deployment).paused
            settles(lambda: plans(api, deployment), False)

    asyncio.run(restart())
    serve()
    assert not api.read_deployment(deployment).paused


def test_without_pause_on_shutdown_the_schedule_stays_active(serve, api):
    """Then the schedule stays active when the process stops, and the planned
    runs stay.
    """
    runner, deployment = serve(pause_on_shutdown=False)
    settles(lambda: plans(api, deployment), True)
    stop(runner)
    assert not api.read_deployment(deployment).paused
    assert plans(api, deployment)


def test_the_program_deploys_with_its_schedule_and_zone(do, api, deployed):
    """For a schedule that must survive its machine, deploy to a work pool."""
    deployment = api.read_deployment(deployed)
    assert deployment.work_pool_name == POOL
    assert api.read_work_pool(POOL).type == "process"
    assert deployment.entrypoint == "do.py:load_orders"
    [planned] = deployment.schedules
    assert (planned.schedule.cron, planned.schedule.timezone) == (
        "0 6 * * 1",
        "Europe/Berlin",
    )


def test_serve_and_deploy_differ(dont, do, serve, deployed, api, table):
    """A schedule that you serve stops with its process, and a schedule on a
    work pool outlives every worker.

    The deployment belongs to no process. Without a worker, its planned runs
    wait for the next one.

    The second one is the error that you get if you replace `serve` by `deploy`
    and change nothing else:
    """
    runner, served = serve()
    for deployment in served, deployed:
        settles(lambda one=deployment: plans(api, one), True)
    stop(runner)
    stop(ProcessWorker(work_pool_name=POOL))
    settles(lambda: plans(api, served), False)
    assert do.schedule("deploy-or-serve") == "active"

    with pytest.raises(ValueError) as refused:
        do.load_orders.deploy("no-source", work_pool_name=POOL)
    assert str(refused.value) == (
        "Either an image or remote storage location must be provided when"
        " deploying a deployment."
    )

    def after_the_stop(deployment) -> str:
        paused = api.read_deployment(deployment).paused
        runs = "stay" if plans(api, deployment) else "are deleted"
        schedule = "is paused" if paused else "stays active"
        return f"the schedule {schedule}, the planned runs {runs}"

    rows = [
        ["When it stops", after_the_stop(served), after_the_stop(deployed)],
        [
            "Where the code is",
            "in the file that serves",
            "in a source or an image that you must name",
        ],
        [
            "Where a run runs (documentation)",
            "in a child process",
            "where the type of the pool says: process, container, cluster",
        ],
        [
            "Advice: right for",
            "trying out, one machine, a flow without a schedule",
            "schedules that count, several machines, different needs",
        ],
    ]
    table("differences.md", ["What differs", "`serve`", "`deploy`"], rows)
