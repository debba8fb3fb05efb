from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.flow_engine import run_flow
from prefect.states import Pending

orders = ["order-1", "order-2"]
table: list[str] = []


@flow
def load_orders(time: str) -> None:
    table.clear()
    if time == "02:00":  # it is so slow that the next run comes
        start_run("02:30")
    table.extend(orders)


def deploy() -> UUID:
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    return load_orders.to_deployment(
        "prevent-overlap", concurrency_limit=one
    ).apply()


def start_run(time: str) -> None:
    """Create a run and, as a worker does, ask the server before it starts."""
    with get_client(sync_client=True) as api:
        deployment = api.read_deployment_by_name("load-orders/prevent-overlap")
        run = api.create_flow_run_from_deployment(
            deployment.id, parameters={"time": time}
        )
        state = api.set_flow_run_state(run.id, Pending()).state
    if state.is_pending():
        state = run_flow(load_orders, run, return_type="state")
    print(f"Run of {time}: {state.name}")


if __name__ == "__main__":
    deployment = deploy()
    start_run("02:00")
    print(f"Rows for {len(orders)} orders: {len(table)}")
    with get_client(sync_client=True) as api:
        api.delete_deployment(deployment)
