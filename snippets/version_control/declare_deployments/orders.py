from prefect import flow


@flow
def load_orders(region: str = "test", batch: int = 10) -> None:
    print(f"Loading the orders of {region}, {batch} at a time.")
