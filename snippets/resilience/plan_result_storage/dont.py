from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingResult


@flow
def count_orders(day: str) -> int:
    return len(["order-1", "order-2", "order-3"])


def result_of(run_id):
    with get_client(sync_client=True) as api:
        state = api.read_flow_run(run_id).state
    try:
        return f"{state.name}, result: {state.result()}"
    except MissingResult as error:
        return f"{state.name}, MissingResult: {error}"


if __name__ == "__main__":
    state = count_orders("2026-03-01", return_state=True)
    print(result_of(state.state_details.flow_run_id))
