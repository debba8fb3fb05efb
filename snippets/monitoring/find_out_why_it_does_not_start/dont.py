from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.flow_engine import run_flow

POOL = "night-metals"
table: list[str] = []


@flow
def load_metals() -> None:
    table.extend(["gold", "silver"])


def tonight(api: SyncPrefectClient) -> None:
    pool = WorkPoolCreate(name=POOL, type="process", is_paused=True)
    api.create_work_pool(pool)
    night = load_metals.to_deployment("night", work_pool_name=POOL).apply()
    api.create_flow_run_from_deployment(night)
    again = api.create_flow_run_from_deployment(night)
    print(f"It does not start: started again, and {again.state.name}")
    api.update_work_pool(POOL, WorkPoolUpdate(is_paused=False))
    for due in api.get_scheduled_flow_runs_for_work_pool(POOL):
        run_flow(load_metals, due.flow_run)  # a worker does this for you
    print(f"Rows for 2 metals: {len(table)}")
    api.delete_work_pool(POOL)
    api.delete_deployment(night)


if __name__ == "__main__":
    with get_client(sync_client=True) as api:
        tonight(api)
