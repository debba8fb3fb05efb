import time
from unittest.mock import patch

from prefect import flow, task

attempts = []


@task(retries=2, retry_delay_seconds=2)
def load_prices(day: str) -> list[float]:
    attempts.append(time.monotonic())
    if len(attempts) < 3:
        raise ConnectionError("the price service is down")
    return {"2026-03-01": [9.5, 10.5]}[day]


@flow
def price_report(day: str) -> float:
    prices = load_prices(day)
    return sum(prices) / len(prices)


def test_report_survives_two_failures():
    instant = load_prices.with_options(retry_delay_seconds=0)
    with patch(f"{__name__}.load_prices", instant):
        assert price_report("2026-03-01") == 10.0


if __name__ == "__main__":
    test_report_survives_two_failures()
    delays = load_prices.retries * load_prices.retry_delay_seconds
    waited = max(attempts) - min(attempts) >= delays
    print(f"Attempts: {len(attempts)}")
    print(f"The test waited {delays} s for them: {'yes' if waited else 'no'}")
