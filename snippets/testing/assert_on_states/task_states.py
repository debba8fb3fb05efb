import time

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State, TaskRun


def task_of(run: TaskRun) -> str:
    return run.task_key.rpartition("-")[0]


def task_states(state: State, runs: int) -> list[str]:
    """Say how the task runs of a flow run ended, once all are recorded."""
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(flow_run_filter=this_run)
        ended = [run for run in found if run.state and run.state.is_final()]
        if len(ended) >= runs:
            return sorted(f"{task_of(run)} {run.state_name}" for run in ended)
        time.sleep(0.1)
    raise TimeoutError(f"{len(ended)} of {runs} task runs have ended")
