import httpx
from prefect import State, flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler

TOKEN = "not-a-real-token"  # in your flow, from a block or the environment


@task
def fetch_rates() -> list[float]:
    url = f"https://rates.example.org/latest?token={TOKEN}"
    request = httpx.Request("GET", url)
    print(f"Asking {request.url}")
    response = httpx.Response(401, request=request)  # the service refuses
    return response.raise_for_status().json()


@flow(log_prints=True)
def load_rates() -> int:
    return len(fetch_rates())


def stored_logs(state: State) -> list[str]:
    APILogHandler().flush()
    run_ids = [state.state_details.flow_run_id]
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=run_ids))
    with get_client(sync_client=True) as client:
        logs = client.read_logs(this_run)
    return [log.message for log in logs]


if __name__ == "__main__":
    state = load_rates(return_state=True)
    print(state.message.splitlines()[0])
    leaks = [message for message in stored_logs(state) if TOKEN in message]
    print(f"Stored log messages with the token: {len(leaks)}")
