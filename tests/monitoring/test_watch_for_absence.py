import asyncio
from datetime import UTC, datetime, timedelta
from importlib import import_module

import httpx
import pytest
from prefect import flow
from prefect.blocks.webhook import Webhook
from prefect.deployments import run_deployment
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    get_current_settings,
    temporary_settings,
)
from prefect.states import Failed, Running
from prefect.types._datetime import now
from prefect.workers.process import ProcessWorker
from prefect.workers.server import build_healthcheck_server

from tests.backend import free_port, patient
from tests.observe import settles

# The alerts are what pager.py received over HTTP.
NAME = "load-night-prices"


@pytest.fixture
def automated():
    """Create an automation and delete it after the test."""
    created = []
    yield created.append
    for automation in created:
        automation.delete()


@pytest.fixture
def plan(api):
    """Plan runs that nobody is there to start; delete them after the test."""
    planned = []

    def plan(program, seconds_ago, **where):
        deployed = program.load_night_prices.to_deployment("night", **where)
        deployment = deployed.apply()
        due = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        run = run_deployment(deployment, scheduled_time=due, timeout=0)
        planned.append((run.id, deployment))
        return run.id

    yield plan
    for run_id, _ in planned:
        api.delete_flow_run(run_id)
    api.delete_deployment(planned[0][1])


def get(app, path):
    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://server{path}")

    answer = asyncio.run(ask())
    return answer.status_code, answer.text


def test_a_run_that_never_starts_is_late_and_not_failed(
    dont, api, plan, automated
):
    """A run that nobody starts does not fail, so an alert on failures stays
    silent while nothing runs at all.

    Until somebody starts it, the run keeps the type `SCHEDULED`. When it is 15
    seconds overdue, the server changes only the name of its state, to `Late`.
    Nothing has failed, so an alert on failures has nothing to report.
    """
    automated(dont.create_automation())
    run_id = plan(dont, seconds_ago=13)

    settles(lambda: api.read_flow_run(run_id).state.name, "Late")
    run = api.read_flow_run(run_id)
    assert run.state.type == "SCHEDULED"
    assert run.start_time is None
    after = get_current_settings().server.services.late_runs.after_seconds
    assert after == timedelta(seconds=15)
    assert run.state.timestamp - run.expected_start_time >= after
    assert dont.pager.next_alert(seconds=1) == "no alert"


def test_an_automation_for_late_runs_alerts(do, api, plan, automated):
    """`Late` makes an event like any other state."""
    automated(automation := do.create_automation())
    assert automation.name == "night-prices"
    other = flow(lambda: None, name="load-day-prices")
    api.create_flow_run(other, state=Failed(name="Late"))
    api.create_flow_run(do.load_night_prices, state=Failed())
    plan(do, seconds_ago=60)

    assert do.pager.next_alert(patient(60)) == f"{NAME} is Late"
    Webhook.delete("night-prices")


def test_runs_that_wait_for_a_limit_of_their_pool_are_late(do, api, plan):
    """With a concurrency limit on a work pool, runs wait on purpose and are
    `Late` meanwhile.
    """
    pool = {"name": "one-at-a-time", "type": "process", "concurrency_limit": 1}
    api.request("POST", "/work_pools/", json=pool)
    try:
        first, second = (
            plan(do, seconds_ago=60, work_pool_name="one-at-a-time")
            for _ in range(2)
        )
        api.set_flow_run_state(first, Running(), force=True)
        settles(lambda: api.read_flow_run(second).state.name, "Late")
        given = "/work_pools/one-at-a-time/get_scheduled_flow_runs"
        assert api.request("POST", given, json={}).json() == []
        more = {"concurrency_limit": 2}
        api.request("PATCH", "/work_pools/one-at-a-time", json=more)
        assert len(api.request("POST", given, json={}).json()) == 1
    finally:
        api.request("DELETE", "/work_pools/one-at-a-time")


def test_a_proactive_trigger_alerts_when_a_success_is_missing(
    do, monkeypatch, automated
):
    """A proactive trigger fires when what it expects did not come in time, even
    if it never came:

    `after` begins a new window with each success. Without it the windows follow
    one another from the start, and the alert comes later, because the window
    with the last success must end first.
    """
    program = import_module("proactive")
    with pytest.raises(
        ValueError,
        match="for Proactive triggers must be greater than or equal to 10 sec",
    ):
        program.create_automation(within=timedelta(seconds=9))
    ten = timedelta(seconds=10)

    automation = program.create_automation(within=ten)
    automated(automation)
    assert automation.name == "no-night-prices"
    assert automation.trigger.within == ten
    success = {"prefect.flow-run.Completed"}
    assert automation.trigger.after == automation.trigger.expect == success
    assert automation.trigger.match_related.root == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": NAME,
    }
    in_a_row = automation.model_copy(deep=True)
    in_a_row.trigger.after = set()
    in_a_row.actions[0].payload = "a window later"
    automated(in_a_row.create())
    with monkeypatch.context() as patch:
        never_runs = flow(lambda: None, name="load-day-prices")
        patch.setattr(program, "load_night_prices", never_runs)
        automated(program.create_automation(within=ten))
    program.load_night_prices()

    assert {program.pager.next_alert(patient(60)) for _ in range(2)} == {
        f"no {NAME} has completed",
        "no load-day-prices has completed",
    }
    Webhook.delete("no-night-prices")


def test_a_probe_finds_what_an_automation_cannot_report(table):
    """A worker answers 503 when it has not polled for 30 intervals, which is
    five minutes by default.
    """
    from prefect.server.api.server import create_app

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{free_port()}/api/health")

    lost = "sqlite+aiosqlite:////no/such/folder/prefect.db"
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: lost}):
        app = create_app(ignore_cache=True)
        health, ready = get(app, "/api/health"), get(app, "/api/ready")
    assert ready[1] == '{"message":"Database is not available"}'

    settings = get_current_settings().worker
    worker = ProcessWorker(work_pool_name="absence")
    probed = build_healthcheck_server(worker, settings.query_seconds)
    answers = []
    for minutes in 4.9, 5.1:
        worker._last_polled_time = now("UTC") - timedelta(minutes=minutes)
        answers.append(get(probed.config.app, "/health"))
    assert 30 * settings.query_seconds == 5 * 60
    assert answers == [
        (200, '{"message":"OK"}'),
        (503, '{"message":"Worker may be unresponsive at this time"}'),
    ]

    table(
        "probes.md",
        ["What is missing", "Ask", "Answer"],
        [
            ["The server", "`/api/health`", "no connection"],
            ["Its database", "`/api/health`", f"{health[0]}"],
            ["Its database", "`/api/ready`", f"{ready[0]}"],
            [
                "A worker's polls",
                f"`/health` on port {settings.webserver.port} of the worker",
                f"{answers[1][0]}",
            ],
        ],
    )
