import os
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker

HERE = Path(__file__)
POOL = WorkPoolCreate(
    name="shop-orders",
    type="process",
    base_job_template=ProcessWorker.get_default_base_job_template(),
)


@flow
def load_orders() -> list[str]:
    if os.environ["SHOP_TOKEN"] != "not-a-real-token":
        raise PermissionError("401: unknown token")
    return ["order-7", "order-8"]


def deploy() -> UUID:
    token = "{{ prefect.blocks.secret.shop-token }}"
    code = flow.from_source(HERE.parent, f"{HERE.name}:load_orders")
    return code.to_deployment(
        f"{HERE.stem}-job-variables",
        work_pool_name=POOL.name,
        job_variables={"env": {"SHOP_TOKEN": token}},
    ).apply()


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        api.create_work_pool(POOL)
        deployment_id = deploy()
        print(api.read_deployment(deployment_id).job_variables)

        api.delete_deployment(deployment_id)
        api.delete_work_pool(POOL.name)
