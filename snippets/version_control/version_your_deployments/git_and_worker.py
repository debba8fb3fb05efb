import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
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
    return subprocess.check_output(run, text=True, stderr=subprocess.DEVNULL)


@contextmanager
def shared_repository() -> Iterator[str]:
    with get_client(sync_client=True) as client:
        client.create_work_pool(POOL, overwrite=True)
    with TemporaryDirectory() as folder, chdir(folder):
        git("init")
        git("init", "--bare", "--initial-branch=main", "shared.git")
        Path("revenue.py").write_text(REVENUE_PY)
        yield f"file://{folder}/shared.git"


def push(query: str) -> str:
    Path("revenue.sql").write_text(query)
    git("add", "revenue.*")
    git("commit", "--message", query)
    git("push", "shared.git", "HEAD:main")
    return git("rev-parse", "HEAD").strip()


def run(deployment: UUID) -> FlowRun:
    """Do what a worker does: in an empty folder, get the code and run it."""
    flow_run = run_deployment(deployment, timeout=0)
    with TemporaryDirectory() as folder, chdir(folder):
        flow_run, revenue = load_flow_and_flow_run(flow_run.id)
        run_flow(revenue, flow_run=flow_run)
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run.id)
