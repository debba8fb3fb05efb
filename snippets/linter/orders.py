from prefect import flow, task


@task
def charge(order: str) -> None: ...


@flow(retries=3)
def checkout(orders: list[str], api_key: str) -> None:
    for order in orders:
        charge.submit(order)
