import httpx
import rate_service
from prefect import flow, task


@task(retries=3)
def fetch_rates(day: str) -> str:
    return httpx.get(f"{rate_service.url}/{day}").raise_for_status().text


@flow
def load_rates(day: str) -> str:
    return fetch_rates(day)


if __name__ == "__main__":
    for day in ("2026-03-01", "2026-02-30"):
        state = load_rates(day, return_state=True)
        tries = rate_service.requests[f"/{day}"]
        print(f"{day}: {state.name}, requests: {tries}")
