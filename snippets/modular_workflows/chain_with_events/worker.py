from time import monotonic, sleep
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.states import Pending

api = get_client(sync_client=True)


def planned(deployment: UUID) -> list[FlowRun]:
    of_it = {"deployments": {"id": {"any_": [str(deployment)]}}}
    found = api.request("POST", "/flow_runs/filter", json=of_it).json()
    runs = [FlowRun.model_validate(run) for run in found]
    return [run for run in runs if run.state.is_scheduled()]


def run_next(flow: Flow, deployment: UUID, seconds: float = 0) -> str:
    """Run what the server has planned for a deployment, before its time."""
    end = monotonic() + seconds
    api.request("POST", f"/deployments/{deployment}/schedule")
    while not (runs := planned(deployment)):
        if monotonic() > end:
            return "no run"
        sleep(0.1)
    run = min(runs, key=lambda run: run.expected_start_time)
    api.set_flow_run_state(run.id, Pending(), force=True)
    return run_flow(flow, flow_run=run)


def forget(deployment: UUID) -> None:
    """Delete a deployment and the automation of its trigger."""
    api.delete_resource_owned_automations(f"prefect.deployment.{deployment}")
    api.delete_deployment(deployment)
