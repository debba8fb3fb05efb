from uuid import UUID

from git_and_worker import POOL, push, run, shared_repository
from prefect import flow
from prefect.runner.storage import GitRepository


def deploy(url: str, commit: str) -> UUID:
    source = GitRepository(url, commit_sha=commit)
    revenue = flow.from_source(source, "revenue.py:revenue")
    return revenue.to_deployment("nightly").apply(work_pool_name=POOL.name)


if __name__ == "__main__":
    with shared_repository() as url:
        deployment = deploy(url, commit=push("1200 EUR"))
        print("Run before the push:", run(deployment))
        push("1300 USD")
        print("Run after the push: ", run(deployment))
