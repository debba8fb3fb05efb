from datetime import UTC, datetime
from uuid import UUID

import night
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled


@flow
def send_forecast() -> None:
    time = runtime.flow_run.scheduled_start_time
    print(f"Sent at breakfast: the forecast of {time:%H:%M}")


def keep_the_newest(deployment: UUID) -> None:
    missed = FlowRunFilter(
        state={"name": {"any_": ["Scheduled", "Late"]}},
        expected_start_time={"before_": datetime.now(UTC)},
    )
    with get_client(sync_client=True) as api:
        runs = api.read_flow_runs(
            deployment_filter=DeploymentFilter(id={"any_": [deployment]}),
            flow_run_filter=missed,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        )
        for run in runs[1:]:
            api.set_flow_run_state(run.id, Cancelled(message="Missed"))


if __name__ == "__main__":
    one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
    deployment = night.deploy(send_forecast, concurrency_limit=one)
    night.pass_without_worker(deployment)

    keep_the_newest(deployment)
    night.start_worker(send_forecast)
    night.forget(deployment)
