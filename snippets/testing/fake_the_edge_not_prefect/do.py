import httpx
from prefect import flow, task
from price_service import price_service


@task(retries=1)
def fetch_prices(url: str) -> list[float]:
    answer = httpx.get(f"{url}/prices")
    return answer.json().get("prices", [])


@flow
def total_price(url: str) -> float:
    return sum(fetch_prices(url))


def test_total():
    busy = (503, {"error": "busy, try again"})
    prices = (200, {"prices": [9.5, 10.5]})
    with price_service(busy, prices) as url:
        total = total_price(url)
    assert total == 20.0, f"total is {total}"


if __name__ == "__main__":
    try:
        test_total()
        print(f"{test_total.__name__}: passed")
    except AssertionError as error:
        print(f"{test_total.__name__}: failed, {error}")
