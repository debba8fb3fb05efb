from uuid import UUID

from git_and_worker import POOL, git, push, run, shared_repository
from prefect import flow
from prefect.runner.storage import GitRepository


def deploy(url: str, commit: str) -> UUID:
    source = GitRepository(url, commit_sha=commit)
    revenue = flow.from_source(source, "revenue.py:revenue")
    deployment = revenue.to_deployment("versioned", version=commit)
    return deployment.apply(work_pool_name=POOL.name)


def query_of(version: str) -> str:
    return git("show", f"{version}:revenue.sql")


if __name__ == "__main__":
    with shared_repository() as url:
        good = push("SELECT sum(price) FROM orders")
        push("SELECT sum(net_price) FROM orders")
        version, query = run(deploy(url, good))
        print("The run used:    ", query)
        print("Its version says:", query_of(version))
