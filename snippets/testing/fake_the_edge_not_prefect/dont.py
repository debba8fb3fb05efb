from unittest.mock import patch

import httpx
from prefect import flow, task


@task(retries=1)
def fetch_prices(url: str) -> list[float]:
    answer = httpx.get(f"{url}/prices")
    return answer.json().get("prices", [])


@flow
def total_price(url: str) -> float:
    return sum(fetch_prices(url))


def test_total():
    with patch(f"{__name__}.fetch_prices", return_value=[9.5, 10.5]):
        total = total_price("http://prices")
    assert total == 20.0, f"total is {total}"


if __name__ == "__main__":
    try:
        test_total()
        print(f"{test_total.__name__}: passed")
    except AssertionError as error:
        print(f"{test_total.__name__}: failed, {error}")
