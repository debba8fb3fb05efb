from prefect import allow_failure, flow, task

staging = ["order 1", "order 2"]


@task
def check_prices() -> None:
    raise ValueError("order 2 has no price")


@task
def publish() -> None:
    print(f"Published {len(staging)} orders")


@task
def drop_staging() -> None:
    print(f"Dropped {len(staging)} orders")
    staging.clear()


@flow
def publish_orders() -> list:
    checked = check_prices.submit()
    published = publish.submit(wait_for=[checked])
    dropped = drop_staging.submit(wait_for=[allow_failure(published)])
    return [checked, published, dropped]


if __name__ == "__main__":
    state = publish_orders(return_state=True)
    print(f"Flow run: {state.name}, orders in staging: {len(staging)}")
