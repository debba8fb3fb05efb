import time
from datetime import UTC, datetime, timedelta

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prometheus_client import Gauge, start_http_server

up = Gauge("prefect_up", "Whether the API answers.")
due = Gauge("prefect_runs_due", "Runs due in the past hour.", ["state_type"])


def measure() -> None:
    now = datetime.now(UTC)
    past_hour = {"after_": now - timedelta(hours=1), "before_": now}
    try:
        with get_client(sync_client=True) as api:
            for state_type in StateType:
                runs = FlowRunFilter(
                    state={"type": {"any_": [state_type]}},
                    expected_start_time=past_hour,
                )
                count = api.count_flow_runs(flow_run_filter=runs)
                due.labels(state_type.value).set(count)
        up.set(1)
    except httpx.HTTPError:
        due.clear()
        up.set(0)


if __name__ == "__main__":
    start_http_server(9201, addr="127.0.0.1")
    while True:
        measure()
        time.sleep(30)
