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
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(POOL)
        git("init")
        git("init", "--bare", "--initial-branch=main", "shared.git")
        try:
            yield f"file://{folder}/shared.git"
        finally:
            client.delete_work_pool(POOL.name)
            with suppress(ObjectNotFound):
                made = client.read_deployment_by_name("revenue/nightly")
                client.delete_deployment(made.id)


def push(amount: str) -> str:
    Path("revenue.py").write_text(CODE.format(amount))
    git("add", "revenue.py")
    git("commit", "--message", f"Report {amount}")
    git("push", "shared.git", "HEAD:main")
    return git("rev-parse", "HEAD").strip()


def run(deployment: UUID) -> str:
    """Do what a worker does: in an empty folder, get the code and run it."""
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run_from_deployment(deployment)
    with TemporaryDirectory() as folder, chdir(folder):
        flow_run, revenue = load_flow_and_flow_run(flow_run.id)
        return run_flow(revenue, flow_run=flow_run)
