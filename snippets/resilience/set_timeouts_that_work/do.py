import httpx
import slow_rates
from prefect import flow, task


@task
def fetch_rates(url: str) -> str:
    return httpx.get(url, timeout=1).text


@flow
def load_rates() -> str:
    future = fetch_rates.submit(slow_rates.url)
    future.wait()
    return future.state.name


if __name__ == "__main__":
    ended = load_rates()
    print(f"{ended}, answers of the service: {len(slow_rates.answers)}")
