from prefect import flow

ORDERS = {"2026-03-02": [12.5, 8.0]}


@flow
def load_orders(day: str) -> float:
    if day not in ORDERS:
        raise ValueError(f"no orders for {day}")
    return sum(ORDERS[day])


@flow
def nightly(day: str) -> None:
    load_orders(day)
    print(f"Report for {day} sent")


if __name__ == "__main__":
    state = nightly("2026-03-03", return_state=True)
    print(f"Flow run: {state.name}")
