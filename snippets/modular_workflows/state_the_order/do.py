import time

from prefect import flow, task

table = ["order 1", "order 2"]


@task
def empty_table() -> None:
    time.sleep(1)  # the database is slow
    print(f"Removed {len(table)} orders")
    table.clear()


@task
def load(orders: list[str]) -> None:
    table.extend(orders)
    print(f"Loaded {len(orders)} orders")


@flow
def refresh(orders: list[str]) -> None:
    emptied = empty_table.submit()
    loaded = load.submit(orders, wait_for=[emptied])
    emptied.result()
    loaded.result()


if __name__ == "__main__":
    state = refresh(["order 1", "order 2", "order 3"], return_state=True)
    print(f"Flow run: {state.name}, orders in the table: {len(table)}")
