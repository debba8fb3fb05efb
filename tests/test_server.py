"""The server that all tests share is the pinned one, and it schedules."""

from __future__ import annotations

from datetime import timedelta

import prefect
from prefect import flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort

from tests.observe import settles


@flow
def on_schedule() -> None: ...


def test_the_server_answers_with_the_pinned_version(api):
    assert api.api_version() == prefect.__version__


def test_a_schedule_creates_a_run(api):
    # With sqlalchemy 2.1 it creates none, and only the server's log says so.
    deployment = api.create_deployment(
        flow_id=api.create_flow(on_schedule),
        name="test-a-schedule-creates-a-run",
        schedules=[
            DeploymentScheduleCreate(
                schedule=IntervalSchedule(interval=timedelta(hours=1))
            )
        ],
    )
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    settles(
        lambda: {
            run.state_name
            for run in api.read_flow_runs(
                deployment_filter=mine, sort=FlowRunSort.ID_DESC, limit=1
            )
        },
        {"Scheduled"},
    )
    api.delete_deployment(deployment)
