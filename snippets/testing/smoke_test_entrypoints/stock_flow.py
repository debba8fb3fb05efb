import warehouse_client
from prefect import flow


@flow
def load_stock(day: str = "2026-03-01") -> int:
    return len(warehouse_client.read_stock(day))
