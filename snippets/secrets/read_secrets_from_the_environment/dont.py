from prefect import flow, task
from pydantic import SecretStr

API_KEY = SecretStr("not-a-real-key")


@task
def read_prices() -> list[str]:
    return ["apple 1.20", "pear 1.50", "plum 2.10"]


@task
def publish(prices: list[str], api_key: SecretStr) -> int:
    if not api_key.get_secret_value():
        raise PermissionError("401: no key")
    return len(prices)


@flow
def publish_prices() -> str:
    prices = read_prices()
    return f"Prices published: {publish(prices, API_KEY)}"


if __name__ == "__main__":
    print(publish_prices())
