from prefect import flow


@flow
def load_orders(day: str = "2026-03-01") -> list[str]:
    return [f"order of {day}"]
