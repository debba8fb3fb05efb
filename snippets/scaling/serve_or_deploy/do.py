import asyncio
import sys
from contextlib import redirect_stdout
from pathlib import Path

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

NAME = "load-orders/deploy-or-serve"
POOL = "deploy-or-serve"


@flow
def load_orders() -> None: ...


def schedule() -> str:
    with get_client(sync_client=True) as api:
        deployment = api.read_deployment_by_name(NAME)
    return "paused" if deployment.paused else "active"


def deploy() -> None:
    with get_client(sync_client=True) as api:
        pool = WorkPoolCreate(name=POOL, type="process")
        api.create_work_pool(pool, overwrite=True)
    source = load_orders.from_source(Path(__file__).parent, "do.py:load_orders")
    with redirect_stdout(sys.stderr):  # deploy prints a table
        source.deploy("deploy-or-serve", POOL, cron="0 6 * * 1")


if __name__ == "__main__":
    deploy()
    print(f"Before the worker asks for work: {schedule()}")
    worker = ProcessWorker(work_pool_name=POOL, name="worker-1")
    asyncio.run(worker.start(run_once=True))
    print(f"After it has stopped: {schedule()}")
