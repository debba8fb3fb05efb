import worker
from prefect import flow
from prefect.deployments import run_deployment

ORDERS = {"2026-03-02": [12.5, 8.0]}


@flow
def load_orders(day: str) -> float:
    if day not in ORDERS:
        raise ValueError(f"no orders for {day}")
    return sum(ORDERS[day])


@flow
def nightly(day: str) -> None:
    run_deployment(
        "load-orders/pick-the-boundary",
        parameters={"day": day},
        poll_interval=1,
    )
    print(f"Report for {day} sent")


if __name__ == "__main__":
    with worker.serve(load_orders, name="pick-the-boundary"):
        state = nightly("2026-03-03", return_state=True)
    print(f"Flow run: {state.name}")
