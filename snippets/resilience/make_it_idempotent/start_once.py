from prefect import flow
from prefect.deployments import run_deployment
from prefect.runner import Runner


@flow
def load_orders(day: str) -> None:
    print(f"Loading {day}")


def start(day: str):
    deployment = Runner().add_flow(load_orders, name="idempotent-start")
    return run_deployment(
        deployment,
        parameters={"day": day},
        idempotency_key=f"load-orders-{day}",
        timeout=0,
    )


if __name__ == "__main__":
    first, again = start("2026-03-01"), start("2026-03-01")
    print(f"The same flow run: {first.id == again.id}")
