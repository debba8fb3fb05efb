import time

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState
from prefect.client.schemas.objects import StateType
from prometheus_client import Gauge, start_http_server

flow_runs = Gauge("prefect_flow_runs", "Flow runs by state.", ["state_type"])


def measure() -> None:
    with get_client(sync_client=True) as api:
        for state_type in StateType:
            state = FlowRunFilterState(type={"any_": [state_type]})
            count = api.count_flow_runs(
                flow_run_filter=FlowRunFilter(state=state)
            )
            flow_runs.labels(state_type.value).set(count)


if __name__ == "__main__":
    start_http_server(9201, addr="127.0.0.1")
    while True:
        measure()
        time.sleep(30)
