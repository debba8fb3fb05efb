from prefect import State, flow, tags, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter


@task
def fetch_orders(shop: str) -> list[str]:
    if shop == "lisbon":
        raise ConnectionError(f"{shop} does not answer")
    return ["order-7", "order-8"]


@task
def store_orders(orders: list[str]) -> int:
    return len(orders)


@flow(flow_run_name="{shop} {day}")
def load_shop(shop: str, day: str) -> None:
    store_orders(fetch_orders(shop))


def search(states: list[State], **what) -> int:
    """Count the runs that the page Runs shows for a search."""
    ids = [state.state_details.flow_run_id for state in states]
    with get_client(sync_client=True) as api:
        return api.count_flow_runs(
            flow_run_filter=FlowRunFilter(id={"any_": ids}, **what)
        )


if __name__ == "__main__":
    states = []
    for shop in "berlin", "lisbon":
        with tags("night", shop):
            states.append(load_shop(shop, "2026-11-20", return_state=True))
    print("name has lisbon:", search(states, name={"like_": "lisbon"}))
    print("tag is lisbon:", search(states, tags={"all_": ["lisbon"]}))
