import asyncio
from datetime import datetime, timedelta
from importlib import import_module

import httpx
import pytest
from prefect.deployments import run_deployment
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    temporary_settings,
)
from prefect.workers.process import ProcessWorker
from prefect.workers.server import build_healthcheck_server

from tests.backend import patient
from tests.observe import settles

# The alerts are what pager.py received over HTTP.
LATE = "load-night-prices is Late"


@pytest.fixture
def automated():
    """Create an automation and delete it after the test."""
    created = []
    yield lambda automation: created.append(automation)
    for automation in created:
        automation.delete()


def due_a_minute_ago(program):
    """Plan a run that nobody is there to start."""
    deployment = program.load_night_prices.to_deployment("night").apply()
    due = datetime.now().astimezone() - timedelta(minutes=1)
    return run_deployment(deployment, scheduled_time=due, timeout=0).id


def get(app, path):
    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://server{path}")

    answer = asyncio.run(ask())
    return answer.status_code, answer.text


def test_a_run_that_never_starts_is_late_and_not_failed(dont, api, automated):
    automated(dont.create_automation())
    run_id = due_a_minute_ago(dont)

    settles(lambda: api.read_flow_run(run_id).state.name, "Late")
    assert api.read_flow_run(run_id).state.type == "SCHEDULED"
    assert dont.pager.next_alert(seconds=1) == "no alert"
    api.delete_flow_run(run_id)


def test_an_automation_for_late_runs_alerts(do, api, automated):
    automated(do.create_automation())
    run_id = due_a_minute_ago(do)

    assert do.pager.next_alert(patient(60)) == LATE
    api.delete_flow_run(run_id)


def test_a_proactive_trigger_alerts_without_any_run(do, automated):
    program = import_module("proactive")
    with pytest.raises(
        ValueError,
        match="for Proactive triggers must be greater than or equal to 10 sec",
    ):
        program.create_automation(within=timedelta(seconds=9))

    automated(program.create_automation(within=timedelta(seconds=10)))
    assert (
        program.pager.next_alert(patient(60))
        == "no load-night-prices has completed"
    )


def test_a_server_that_lost_its_database_is_healthy_but_not_ready():
    from prefect.server.api.server import create_app

    lost = "sqlite+aiosqlite:////no/such/folder/prefect.db"
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: lost}):
        app = create_app(ignore_cache=True)
        assert get(app, "/api/health") == (200, "true")
        assert get(app, "/api/ready") == (
            503,
            '{"message":"Database is not available"}',
        )


def test_a_probe_finds_a_worker_that_no_longer_polls():
    worker = ProcessWorker(work_pool_name="absence")
    probed = build_healthcheck_server(worker, query_interval_seconds=0.01)

    settles(
        lambda: get(probed.config.app, "/health"),
        (503, '{"message":"Worker may be unresponsive at this time"}'),
    )
