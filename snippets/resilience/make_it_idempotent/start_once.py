from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment


@flow
def load_orders(day: str) -> None:
    print(f"Loading {day}")


def start(deployment, day: str):
    return run_deployment(
        deployment,
        parameters={"day": day},
        idempotency_key=f"load-orders-{day}",
        timeout=0,
    )


if __name__ == "__main__":
    deployment = load_orders.to_deployment("idempotent-start").apply()
    first, again = (start(deployment, "2026-03-01") for _ in range(2))
    print(f"The same flow run: {first.id == again.id}")

    with get_client(sync_client=True) as api:
        api.delete_deployment(deployment)
