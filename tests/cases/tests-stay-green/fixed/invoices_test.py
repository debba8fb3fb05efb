import time

from invoices import close_month
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter


def ended(state):
    """Say how the two task runs ended, once both are recorded."""
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    deadline = time.monotonic() + 30
    final = []
    while len(final) < 2 and time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=this_run)
        final = [run.state_name for run in runs if run.state.is_final()]
        time.sleep(0.1)
    return final


def test_month_with_two_invoices():
    state = close_month("2026-05", return_state=True)
    assert state.result() == 2000
    assert ended(state) == ["Completed", "Completed"]


def test_month_without_invoices():
    state = close_month("2026-06", return_state=True)
    assert state.result() == 0
    assert ended(state) == ["Completed", "Completed"]
