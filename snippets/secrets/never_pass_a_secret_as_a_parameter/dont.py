from prefect import flow, task
from prefect.client.orchestration import get_client


@task
def fetch_rates(api_key: str) -> list[float]:
    if api_key != "not-a-real-key":
        raise PermissionError("401: unknown key")
    return [1.08, 0.86, 161.2]


@flow
def load_rates(api_key: str) -> list[float]:
    return fetch_rates(api_key)


if __name__ == "__main__":
    state = load_rates("not-a-real-key", return_state=True)
    print(f"Rates: {state.result()}")

    with get_client(sync_client=True) as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    print(f"Parameters on the server: {run.parameters}")
