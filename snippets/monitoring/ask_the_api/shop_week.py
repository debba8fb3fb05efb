from uuid import uuid4

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilterTags
from prefect.states import Completed, Crashed, Failed


@flow
def load_prices() -> None: ...


@flow
def load_orders() -> None: ...


def record() -> FlowRunFilterTags:
    """Tell the server of a week of runs, the oldest first."""
    tag = f"shop-week-{uuid4()}"
    with get_client(sync_client=True) as api:
        for state in Failed(), Crashed(), Failed(name="TimedOut"):
            api.create_flow_run(load_prices, state=state, tags=[tag])
        for _ in range(20):
            api.create_flow_run(load_orders, state=Completed(), tags=[tag])
    return FlowRunFilterTags(all_=[tag])
