from prefect import State, flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler


@flow(flow_run_name="night load", log_prints=True)
def load_orders(prices: dict[str, float]) -> None:
    logger = get_run_logger()
    for order, price in prices.items():
        if price == 0:
            logger.warning("%s has no price", order)
    print(f"{len(prices)} orders loaded")


def stored_logs(state: State) -> list[str]:
    APILogHandler().flush()
    run_ids = [state.state_details.flow_run_id]
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=run_ids))
    with get_client(sync_client=True) as client:
        logs = client.read_logs(this_run)
    return [log.message for log in logs]


if __name__ == "__main__":
    state = load_orders({"order-7": 0, "order-8": 25}, return_state=True)
    print("Stored by the server:", *stored_logs(state), sep="\n- ")
