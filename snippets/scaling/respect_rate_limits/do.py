import httpx
import service
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import rate_limit


def create_limit() -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(
            "rates-service", limit=1, slot_decay_per_second=1.0
        )


def delete_limit() -> None:  # an example leaves nothing behind
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name("rates-service")


@task
def fetch_rate(currency: str) -> float:
    rate_limit("rates-service", strict=True)
    answer = httpx.get(f"{service.url}/{currency}")
    return float(answer.raise_for_status().text)


@flow
def fetch_rates() -> None:
    for currency in "EUR", "GBP", "JPY", "CHF":
        state = fetch_rate(currency, return_state=True)
        print(f"{currency}: {state.name}")


if __name__ == "__main__":
    create_limit()
    fetch_rates()
    delete_limit()
