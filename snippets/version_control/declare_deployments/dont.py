import subprocess
import sys
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

HERE = Path(__file__).parent
POOL = WorkPoolCreate(name="declared-pool", type="process")
ORDERS = ["orders.py:load_orders", "--name=declared", "--pool=declared-pool"]


def deploy(folder: str, *options: str) -> str:
    command = [sys.executable, "-m", "prefect", "deploy", *options]
    return subprocess.check_output(command, cwd=folder, text=True)


def on_the_server() -> str:
    with get_client(sync_client=True) as api:
        found = api.read_deployment_by_name("load-orders/declared")
    limit = found.global_concurrency_limit
    return f"{found.parameters}, limit {limit.limit if limit else None}"


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        api.create_work_pool(POOL, overwrite=True)
    with TemporaryDirectory() as folder:
        copy(HERE / "orders.py", folder)
        batch, region = "--param=batch=100", "--param=region=eu"
        deploy(folder, *ORDERS, batch, region, "--concurrency-limit=1")
        print("In March:", on_the_server())
        deploy(folder, *ORDERS, "--param=batch=500")
        print("In May:  ", on_the_server())
