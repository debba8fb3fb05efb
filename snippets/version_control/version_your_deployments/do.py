from subprocess import CalledProcessError
from uuid import UUID

from git_and_worker import POOL, git, push, run, shared_repository
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.runner.storage import GitRepository


def deploy(url: str, commit: str) -> UUID:
    source = GitRepository(url, commit_sha=commit)
    revenue = flow.from_source(source, "revenue.py:revenue")
    deployment = revenue.to_deployment("versioned", version=commit)
    return deployment.apply(work_pool_name=POOL.name)


def query_of(flow_run: FlowRun) -> str:
    try:
        return git("show", f"{flow_run.deployment_version}:revenue.sql")
    except CalledProcessError:
        return "git knows no such version"


if __name__ == "__main__":
    with shared_repository() as url:
        first = run(deploy(url, push("SELECT sum(price) FROM orders")))
        second = run(deploy(url, push("SELECT sum(net_price) FROM orders")))
        print("First run: ", query_of(first))
        print("Second run:", query_of(second))
