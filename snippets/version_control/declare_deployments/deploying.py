import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

HERE = Path(__file__).parent
NAME = "load-orders/declared"
POOL = WorkPoolCreate(name="declared-pool", type="process")


@contextmanager
def project() -> Iterator[Path]:
    """A copy of the project to deploy from, and the work pool on the server."""
    with TemporaryDirectory() as folder, get_client(sync_client=True) as api:
        with suppress(ObjectAlreadyExists):
            api.create_work_pool(POOL)
        try:
            yield copytree(HERE, Path(folder, "project"))
        finally:
            api.delete_work_pool(POOL.name)
            api.delete_deployment(api.read_deployment_by_name(NAME).id)


def deploy(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "prefect", "deploy", *options]
    return subprocess.check_output(command, cwd=folder, text=True)


def on_the_server() -> str:
    with get_client(sync_client=True) as api:
        found = api.read_deployment_by_name(NAME)
    limit = found.global_concurrency_limit
    return f"{found.parameters}, limit {limit.limit if limit else None}"
