"""Six runs of a night in which no worker was there, and then a worker."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.flow_engine import run_flow
from prefect.states import Late, Pending

NAME = "missed-runs"


def deploy(flow: Flow, **options) -> UUID:
    with get_client(sync_client=True) as api:
        pool = WorkPoolCreate(name=NAME, type="process")
        api.create_work_pool(pool, overwrite=True)
    return flow.to_deployment(NAME, work_pool_name=NAME, **options).apply()


def pass_without_worker(deployment: UUID) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    midnight = datetime.combine(yesterday, time(), UTC)
    with get_client(sync_client=True) as api:
        for hour in range(6):
            state = Late(scheduled_time=midnight + timedelta(hours=hour))
            api.create_flow_run_from_deployment(deployment, state=state)


def start_worker(flow: Flow) -> None:
    """As a worker does, ask for each run that is due, then run it."""
    with get_client(sync_client=True) as api:
        due = api.get_scheduled_flow_runs_for_work_pool(NAME)
        runs = [answer.flow_run for answer in due]
        for run in runs:
            run.state = api.set_flow_run_state(run.id, Pending()).state
    for run in runs:
        if run.state.is_pending():
            run_flow(flow, run)


def forget(deployment: UUID) -> None:
    with get_client(sync_client=True) as api:
        api.delete_deployment(deployment)
        api.delete_work_pool(NAME)
