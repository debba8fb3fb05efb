from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency

orders = ["order-1", "order-2"]
table: list[str] = []


def create_limit() -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("orders-load", limit=1)


def delete_limit() -> None:  # an example leaves nothing behind
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name("orders-load")


@task
def manual_load() -> None:
    with concurrency("orders-load", max_retries=0, strict=True):
        table.clear()
        table.extend(orders)


@flow
def nightly_load() -> None:
    with concurrency("orders-load", strict=True):
        table.clear()
        manual = manual_load.submit()  # somebody starts it at this moment
        manual.wait()
        print(f"Manual load during the nightly load: {manual.state.name}")
        table.extend(orders)


if __name__ == "__main__":
    create_limit()
    nightly_load()
    print(f"Rows for {len(orders)} orders: {len(table)}")
    delete_limit()
