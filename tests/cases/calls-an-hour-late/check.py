"""The calls are planned for 7 in Hamburg, before and after clocks change."""

import runpy
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter

HAMBURG = ZoneInfo("Europe/Berlin")
# The clocks change on Sunday, 28 March 2027.
FRIDAY, TUESDAY = (datetime(2027, 3, day, tzinfo=UTC) for day in (26, 30))


def deploy() -> None:
    """Do what the team does: `prefect deploy --all`."""
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all"]
    try:
        runpy.run_module("prefect", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise


with get_client(sync_client=True) as client:
    pool = WorkPoolCreate(name="practice-calls", type="process")
    client.create_work_pool(pool)
    try:
        deploy()
        made = client.read_deployment_by_name("practice-reminders/weekdays")
        client.request(
            "POST",
            f"/deployments/{made.id}/schedule",
            json={"start_time": f"{FRIDAY}", "end_time": f"{TUESDAY}"},
        )
        these = DeploymentFilter(id={"any_": [made.id]})
        runs = client.read_flow_runs(deployment_filter=these)
        client.delete_deployment(made.id)
    finally:
        client.delete_work_pool(pool.name)

starts = sorted(run.expected_start_time for run in runs)
planned = [
    f"{start.astimezone(HAMBURG):%a %H:%M}"
    for start in starts
    if FRIDAY <= start < TUESDAY
]
assert planned == ["Fri 07:00", "Mon 07:00"], f"planned: {planned}"
