import subprocess
import sys
import time

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run


@flow
def count_stock(seconds: float) -> None:
    print(flow_run.id, flush=True)
    time.sleep(seconds)


def start(seconds: float = 600) -> tuple[str, subprocess.Popen]:
    """Run the flow in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(seconds)], stdout=subprocess.PIPE
    )
    return process.stdout.readline().decode().strip(), process


def state_of(run_id: str) -> str:
    with get_client(sync_client=True) as api:
        return api.read_flow_run(run_id).state.name


def next_state(run_id: str, wait: int) -> str:
    """Wait until the run is no longer Running, or the time is over."""
    for _ in range(wait):
        if state_of(run_id) != "Running":
            break
        time.sleep(1)
    return state_of(run_id)


if __name__ == "__main__":
    _, seconds = sys.argv
    count_stock(float(seconds))
