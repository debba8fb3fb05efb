from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate

WORKERS = {"worker on office-box": "office", "worker on gpu-box": "gpu"}


@flow
def load_orders() -> None: ...


@flow
def train_model() -> None: ...


def create_pools(api: SyncPrefectClient) -> None:
    for pool in set(WORKERS.values()):
        api.create_work_pool(WorkPoolCreate(name=pool, type="process"))


def deploy_and_run(api: SyncPrefectClient) -> list[UUID]:
    runs = []
    for deployment in (
        load_orders.to_deployment("routed", work_pool_name="office"),
        train_model.to_deployment("routed", work_pool_name="gpu"),
    ):
        name = deployment.flow_name
        runs.append(
            api.create_flow_run_from_deployment(deployment.apply(), name=name)
        )
    return [run.deployment_id for run in runs]


def due_runs(api: SyncPrefectClient, pool: str) -> list[str]:
    due = api.get_scheduled_flow_runs_for_work_pool(pool)
    return [response.flow_run.name for response in due]


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        create_pools(api)
        deployed = deploy_and_run(api)
        for worker, pool in WORKERS.items():
            print(f"The {worker} may take: {', '.join(due_runs(api, pool))}")
        for pool in set(WORKERS.values()):
            api.delete_work_pool(pool)
        for deployment in deployed:
            api.delete_deployment(deployment)
