from prefect import flow, task
from prefect.states import Failed

orders = {}


@task(persist_result=True)
def count_orders(day: str):
    if day not in orders:
        return Failed(message="no orders yet")
    return len(orders[day])


@flow
def daily_report(day: str) -> None:
    early = count_orders(day, return_state=True)
    orders[day] = ["order-1", "order-2"]
    late = count_orders(day, return_state=True)
    print(f"Before the orders came: {early.name}")
    print(f"After they came: {late.name}, result {late.result()}")


if __name__ == "__main__":
    daily_report("2026-03-01")
