import os
import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flow_engine import load_flow_and_flow_run, run_flow

POOL = WorkPoolCreate(name="versioned-pool", type="process")
REVENUE_PY = """
from pathlib import Path
from prefect import flow

@flow
def revenue():
    return Path(__file__).with_name("revenue.sql").read_text()
"""


def git(*command: str) -> str:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    run = ["git", *author, *command]
    return subprocess.check_output(run, text=True, stderr=subprocess.PIPE)


@contextmanager
def shared_repository() -> Iterator[str]:
    """Be in Ada's clone of a new repository, on her laptop."""
    os.environ.pop("GITHUB_SHA", None)  # In CI, Prefect reads this.
    with (
        get_client(sync_client=True) as client,
        TemporaryDirectory() as folder,
        chdir(folder),
    ):
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(POOL)
        url = f"file://{folder}/shared.git"
        git("init")
        git("init", "--bare", "--initial-branch=main", "shared.git")
        git("remote", "add", "origin", url)
        Path("revenue.py").write_text(REVENUE_PY)
        try:
            yield url
        finally:
            client.delete_work_pool(POOL.name)
            with suppress(ObjectNotFound):
                made = client.read_deployment_by_name("revenue/versioned")
                client.delete_deployment(made.id)


def push(query: str) -> str:
    Path("revenue.sql").write_text(query)
    git("add", "revenue.*")
    git("commit", "--message", query)
    git("push", "origin", "HEAD:main")
    return git("rev-parse", "HEAD").strip()


def run(deployment: UUID) -> tuple[str, str]:
    """Do what a worker does: in an empty folder, get the code and run it."""
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run_from_deployment(deployment)
    with TemporaryDirectory() as folder, chdir(folder):
        flow_run, revenue = load_flow_and_flow_run(flow_run.id)
        return flow_run.deployment_version, run_flow(revenue, flow_run)
