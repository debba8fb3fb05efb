from prefect import flow, task
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client


@task
def fetch_rates(api_key: str) -> list[float]:
    if api_key != "not-a-real-key":
        raise PermissionError("401: unknown key")
    return [1.08, 0.86, 161.2]


@flow
def load_rates(key_block: str) -> list[float]:
    return fetch_rates(Secret.load(key_block).get())


if __name__ == "__main__":
    # Done once, by the key's owner, and not in the flow's repository.
    Secret(value="not-a-real-key").save("example-rates-key")

    state = load_rates("example-rates-key", return_state=True)
    print(f"Rates: {state.result()}")

    with get_client(sync_client=True) as api:
        run = api.read_flow_run(state.state_details.flow_run_id)
    print(f"Parameters on the server: {run.parameters}")

    Secret.delete("example-rates-key")
