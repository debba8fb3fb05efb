"""The starter on good days: by its schedule, on demand, and for the past."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterTags,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled

from tests.e2e.office import ALL, SHOP, TOKEN
from tests.observe import log_messages, settles, task_runs

pytestmark = pytest.mark.xdist_group("office")


def test_it_runs_on_demand(office):
    day = office.next_day()
    office.run(
        *("uv", "run", "--no-sync", "prefect", "deployment", "run"),
        *("load-daily-sales/nightly", "--param", f"day={day}", "--watch"),
    )
    (run,) = office.runs_of(day)
    assert run.state_name == "Completed"
    assert office.sold(day) == ALL
    assert f"{TOKEN}:" in office.project.host.given
    assert run.deployment_version == office.project.commit
    assert f"commit:{office.project.commit}" in run.tags
    (artifact,) = office.api.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])
        )
    )
    assert artifact.description == f"Sales of {day}. Missing: none."
    columns = ("source", "orders", "cents")
    rows = [dict(zip(columns, row, strict=True)) for row in ALL]
    assert json.loads(artifact.data) == rows
    line = "Saved 2 orders of web-shop."
    settles(lambda: line in log_messages(office.api, run.state), True)
    done = [state for _, state, _ in task_runs(office.api, run.state)]
    assert done == ["Completed"] * 7


def test_it_runs_on_schedule(office):
    """The next planned run is brought forward, and is for its own day."""
    nightly = office.deployment("nightly")
    (schedule,) = nightly.schedules
    assert schedule.schedule.timezone == "Europe/Berlin"
    this = DeploymentFilter(id=DeploymentFilterId(any_=[nightly.id]))
    planned = FlowRunFilter(tags=FlowRunFilterTags(all_=["auto-scheduled"]))

    def next_run():
        return office.api.read_flow_runs(
            flow_run_filter=planned,
            deployment_filter=this,
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )

    settles(lambda: bool(next_run()), True)
    run = next_run()[0]
    start = run.expected_start_time.astimezone(ZoneInfo("Europe/Berlin"))
    assert (start.hour, start.minute) == (6, 0)
    day = start.date() - timedelta(days=1)
    office.send_files(day)
    office.api.set_flow_run_state(run.id, Scheduled())
    run = office.becomes(run, "Completed")
    assert run.name == f"sales of {day}"
    assert office.sold(day) == ALL


def test_a_backfill_that_is_started_twice_runs_each_day_once(office):
    first, last = office.next_day(), office.next_day()
    command = ["uv", "run", "--no-sync", "daily-sales", "backfill", "prices"]
    office.run(*command, str(first), str(first))
    office.run(*command, str(first), str(last))
    for day in first, last:
        (run,) = office.runs_of(day)
        office.becomes(run, "Completed")
        assert office.sold(day) == ALL
        assert "backfill:prices" in run.tags


def test_what_is_deployed_holds_no_secret(office):
    for name in "nightly", "backfill":
        stored = office.deployment(name)
        text = stored.model_dump_json()
        assert "{{ prefect.blocks.secret.daily-sales-clone-token }}" in text
        assert office.project.commit in str(stored.pull_steps)
        secrets = [TOKEN, SHOP.TOKEN, office.settings["DAILY_SALES_ALERT_URL"]]
        assert [secret for secret in secrets if secret in text] == []
