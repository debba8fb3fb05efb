import httpx
import service
from prefect import flow, task


@task
def fetch_rate(currency: str) -> float:
    answer = httpx.get(f"{service.url}/{currency}")
    return float(answer.raise_for_status().text)


@flow
def fetch_rates() -> None:
    for currency in "EUR", "GBP", "JPY", "CHF":
        state = fetch_rate(currency, return_state=True)
        print(f"{currency}: {state.name}")


if __name__ == "__main__":
    fetch_rates()
