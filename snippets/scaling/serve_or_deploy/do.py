import asyncio
import sys
from contextlib import redirect_stdout
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.schedules import Cron
from prefect.workers.process import ProcessWorker

MONDAYS = Cron("0 6 * * 1", timezone="Europe/Berlin")


@flow
def load_orders() -> None: ...


def schedule(name: str) -> str:
    with get_client(sync_client=True) as api:
        deployment = api.read_deployment_by_name(f"load-orders/{name}")
    return "paused" if deployment.paused else "active"


def deploy(pool: str) -> UUID:
    with get_client(sync_client=True) as api:
        api.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    source = load_orders.from_source(Path(__file__).parent, "do.py:load_orders")
    with redirect_stdout(sys.stderr):  # deploy prints a table
        return source.deploy("deploy-or-serve", pool, schedule=MONDAYS)


if __name__ == "__main__":
    deployed = deploy("deploy-or-serve")
    print(f"Before the worker asks for work: {schedule('deploy-or-serve')}")
    worker = ProcessWorker(work_pool_name="deploy-or-serve", name="worker-1")
    asyncio.run(worker.start(run_once=True))
    print(f"After it has stopped: {schedule('deploy-or-serve')}")
    with get_client(sync_client=True) as api:
        api.delete_deployment(deployed)
        api.delete_work_pool("deploy-or-serve")
