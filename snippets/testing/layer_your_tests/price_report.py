from datetime import date

from prefect import flow, get_run_logger, task

PRICES = {"2026-03-01": [9.5, 10.5]}
NIGHTLY = {"name": "nightly", "parameters": {"date": "2026-03-01"}}


def mean(prices: list[float]) -> float:
    return sum(prices) / len(prices)


@task
def load_prices(day: str) -> list[float]:
    get_run_logger().info("Loading the prices of %s", day)
    return PRICES[day]


@flow
def price_report(day: date) -> float:
    return mean(load_prices(day))
