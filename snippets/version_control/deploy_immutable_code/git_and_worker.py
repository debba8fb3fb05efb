import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.deployments import run_deployment
from prefect.flow_engine import load_flow_and_flow_run, run_flow

POOL = WorkPoolCreate(name="revenue-workers", type="process")
CODE = "from prefect import flow\n\n\n@flow\ndef revenue():\n    return '{}'\n"


def git(*command: str) -> str:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    run = ["git", *author, *command]
    return subprocess.check_output(run, text=True, stderr=subprocess.DEVNULL)


@contextmanager
def shared_repository() -> Iterator[str]:
    with (
        get_client(sync_client=True) as client,
        TemporaryDirectory() as folder,
        chdir(folder),
    ):
        client.create_work_pool(POOL, overwrite=True)
        git("init")
        git("init", "--bare", "--initial-branch=main", "shared.git")
        try:
            yield f"file://{folder}/shared.git"
        finally:
            ours = WorkPoolFilter(name={"any_": [POOL.name]})
            for made in client.read_deployments(work_pool_filter=ours):
                client.delete_deployment(made.id)
            client.delete_work_pool(POOL.name)


def push(amount: str) -> str:
    Path("revenue.py").write_text(CODE.format(amount))
    git("add", "revenue.py")
    git("commit", "--message", f"Report {amount}")
    git("push", "shared.git", "HEAD:main")
    return git("rev-parse", "HEAD").strip()


def run(deployment: UUID) -> str:
    """Do what a worker does: in an empty folder, get the code and run it."""
    flow_run = run_deployment(deployment, timeout=0)
    with TemporaryDirectory() as folder, chdir(folder):
        flow_run, revenue = load_flow_and_flow_run(flow_run.id)
        return run_flow(revenue, flow_run=flow_run)
