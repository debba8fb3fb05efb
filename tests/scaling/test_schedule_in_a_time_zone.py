from datetime import UTC, datetime
from importlib import import_module
from zoneinfo import ZoneInfo

import pytest
from prefect import flow
from prefect.client.schemas.filters import DeploymentFilter
from prefect.flow_engine import run_flow
from prefect.runner import Runner
from prefect.schedules import Cron, Schedule
from prefect.states import Scheduled

from tests.observe import settles


@flow
def report() -> None: ...


@pytest.fixture
def deploy(api):
    deployments = []

    def add(schedule: Schedule) -> DeploymentFilter:
        new = Runner().add_flow(report, name="time-zone", schedule=schedule)
        deployments.append(new)
        return DeploymentFilter(id={"any_": [new]})

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


def in_new_york(runs) -> list[str]:
    zone = ZoneInfo("America/New_York")
    return [f"{run.astimezone(zone):%d %H:%M}" for run in runs]


def test_a_schedule_without_a_zone_moves_with_the_clocks(dont):
    runs = dont.next_runs(dont.schedule, "2026-03-07T00:00Z", 2)
    assert in_new_york(runs) == ["07 09:00", "08 10:00"]


def test_a_schedule_with_a_zone_keeps_its_hour(do):
    spring = do.next_runs(do.schedule, "2026-03-07T00:00Z", 2)
    autumn = do.next_runs(do.schedule, "2026-10-31T00:00Z", 2)

    assert in_new_york(spring) == ["07 09:00", "08 09:00"]
    assert in_new_york(autumn) == ["31 09:00", "01 09:00"]
    assert [run.astimezone(UTC).hour for run in spring] == [14, 13]


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_the_server_plans_in_the_zone_or_else_in_utc(zone, deploy, api):
    mondays = deploy(Cron("0 9 * * 1", timezone=zone))

    def hours() -> set[int]:
        runs = api.read_flow_runs(deployment_filter=mondays)
        starts = [run.expected_start_time for run in runs]
        return {at.astimezone(ZoneInfo(zone or "UTC")).hour for at in starts}

    settles(hours, {9})


def test_an_unknown_zone_is_refused_but_only_when_you_deploy(deploy):
    schedule = Cron("0 9 * * *", timezone="New_York")
    with pytest.raises(ValueError) as refused:
        deploy(schedule)
    assert (
        'Invalid timezone: "New_York" (specify in IANA tzdata format,'
        " for example, America/New_York)" in str(refused.value)
    )


@pytest.mark.parametrize(
    "cron, zone, start, expected",
    [
        # EST is a zone that never changes its clocks.
        ("0 9 * * *", "EST", "2026-03-08T00:00Z", ["08 10:00", "09 10:00"]),
        # In March there is no 02:30: that run comes an hour early.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00-05:00",
            ["08 01:30", "09 02:30"],
        ),
        # In November there are two hours that begin at 01:00: one has no run.
        (
            "0 * * * *",
            "America/New_York",
            "2026-11-01T01:00-04:00",
            ["01 01:00", "01 02:00"],
        ),
    ],
)
def test_what_happens_when_the_clocks_change(do, cron, zone, start, expected):
    schedule = Cron(cron, timezone=zone)
    assert in_new_york(do.next_runs(schedule, start, 2)) == expected


def test_a_late_run_knows_the_day_that_it_was_planned_for(do, api, capsys):
    close_day = import_module("late").close_day
    evening = Scheduled(scheduled_time=datetime(2026, 3, 8, 1, tzinfo=UTC))
    run = api.create_flow_run(close_day, state=evening)
    run_flow(close_day, flow_run=run)

    assert capsys.readouterr().out.splitlines() == [
        "The scheduled start is today: False",
        "Its date in UTC: 2026-03-08",
        "Its date in New York: 2026-03-07",
    ]
