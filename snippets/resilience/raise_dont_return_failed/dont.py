from prefect import flow, task
from prefect.states import Failed

table = {}


@task
def check(orders: dict[str, int]) -> None:
    for order, price in orders.items():
        if price < 0:
            return Failed(message=f"{order} costs {price}")


@task
def load(orders: dict[str, int]) -> None:
    table.update(orders)


@flow
def load_orders(orders: dict[str, int]) -> None:
    check(orders)
    load(orders)


if __name__ == "__main__":
    for orders in ({"order-1": 20}, {"order-2": -5}):
        state = load_orders(orders, return_state=True)
        print(f"{state}, table: {table}")
