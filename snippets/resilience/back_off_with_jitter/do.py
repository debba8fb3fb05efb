import httpx
import rate_service
from prefect import flow, task
from prefect.tasks import exponential_backoff


def is_transient(task, task_run, state) -> bool:
    try:
        state.result()
    except httpx.HTTPStatusError as error:
        return error.response.status_code in (429, 502, 503, 504)
    except Exception as error:
        return isinstance(error, httpx.TransportError)


@task(
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.3,
    retry_condition_fn=is_transient,
)
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
