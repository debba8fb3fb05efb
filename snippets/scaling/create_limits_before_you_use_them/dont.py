from prefect import flow, task
from prefect.concurrency.sync import concurrency

orders = ["order-1", "order-2"]
table: list[str] = []


@task
def manual_load() -> None:
    with concurrency("orders-table", max_retries=0):
        table.clear()
        table.extend(orders)


@flow
def nightly_load() -> None:
    with concurrency("orders-table"):
        table.clear()
        manual = manual_load.submit()  # somebody starts it at this moment
        manual.wait()
        print(f"Manual load during the nightly load: {manual.state.name}")
        table.extend(orders)


if __name__ == "__main__":
    nightly_load()
    print(f"Rows for {len(orders)} orders: {len(table)}")
