import logging

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler

logger = logging.getLogger("orders")


@flow(flow_run_name="night load")
def load_orders(prices: dict[str, float]) -> None:
    for order, price in prices.items():
        if price == 0:
            logger.warning("%s has no price", order)
    print(f"{len(prices)} orders loaded")


if __name__ == "__main__":
    state = load_orders({"order-7": 0, "order-8": 25}, return_state=True)
    APILogHandler().flush()
    run_id = state.state_details.flow_run_id
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        for log in client.read_logs(this_run, limit=200, offset=0):
            print(f"In the API: {log.message}")
