import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from inspect import signature
from zoneinfo import ZoneInfo

import pytest
from prefect import flow
from prefect.client.schemas.filters import DeploymentFilter
from prefect.flow_engine import run_flow
from prefect.schedules import Cron, RRule
from prefect.states import Scheduled

from tests.observe import settles

NEW_YORK = ZoneInfo("America/New_York")


@flow
def report() -> None: ...


@pytest.fixture
def apply(api):
    deployments = []

    def add(deployment) -> DeploymentFilter:
        deployments.append(deployment.apply())
        return DeploymentFilter(id={"any_": deployments[-1:]})

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


def in_new_york(runs) -> list[str]:
    return [f"{run.astimezone(NEW_YORK):%d %H:%M}" for run in runs]


def planned(cron: str, zone: str, day: date) -> list[datetime]:
    """The runs of that day in that zone."""
    from prefect.server.schemas.schedules import CronSchedule

    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    a_day = timedelta(days=1)
    runs = asyncio.run(
        CronSchedule(cron=cron, timezone=zone).get_dates(
            start=noon - a_day, end=noon + a_day
        )
    )
    local = [run.astimezone(ZoneInfo(zone)) for run in runs]
    return [run for run in local if run.date() == day]


def test_a_schedule_without_a_zone_moves_with_the_clocks(dont):
    """A schedule without a time zone is planned in UTC, so its runs move by an
    hour when the clocks of your users change.

    On 8 March 2026 New York puts its clocks forward, and UTC has no such
    change. So the runs keep their hour in UTC, and come an hour later in New
    York.
    """
    runs = dont.next_runs("2026-03-07T00:00Z", 2)
    assert in_new_york(runs) == ["07 09:00", "08 10:00"]
    assert [run.astimezone(UTC).hour for run in runs] == [14, 14]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_zone_of_the_machine_does_not_matter(dont, monkeypatch, zone):
    """It does not matter in which zone your machine or the server is."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    runs = dont.next_runs("2026-03-07T00:00Z", 1)
    monkeypatch.undo()
    time.tzset()
    assert runs == [datetime(2026, 3, 7, 14, tzinfo=UTC)]


def test_a_schedule_with_a_zone_keeps_its_hour(do):
    """Now the runs keep their hour in New York, in spring and in autumn."""
    spring = do.next_runs("2026-03-07T00:00Z", 2)
    autumn = do.next_runs("2026-10-31T00:00Z", 2)

    assert in_new_york(spring) == ["07 09:00", "08 09:00"]
    assert in_new_york(autumn) == ["31 09:00", "01 09:00"]
    assert [run.astimezone(UTC).hour for run in spring] == [14, 13]


@pytest.mark.parametrize(
    ("program", "hour", "zone"),
    [("dont", 14, "UTC"), ("do", 9, "America/New_York")],
)
def test_the_server_plans_in_the_zone_or_else_in_utc(
    program, hour, zone, apply, api, request
):
    """A schedule without a time zone is planned in UTC."""
    daily = apply(request.getfixturevalue(program).daily)

    def hours() -> set[int]:
        runs = api.read_flow_runs(deployment_filter=daily)
        starts = [run.expected_start_time for run in runs]
        return {at.astimezone(ZoneInfo(zone)).hour for at in starts}

    settles(hours, {hour})


def test_the_short_form_has_no_zone(dont):
    """`flow.serve` and `flow.deploy` take the same `schedule=` as
    `to_deployment`. The short form `cron="0 9 * * *"` has no place for a zone,
    so it means UTC.
    """
    report = dont.sales_report
    for method in report.to_deployment, report.serve, report.deploy:
        arguments = signature(method).parameters
        assert "Schedule" in str(arguments["schedule"].annotation)
        assert "cron" in arguments and "timezone" not in arguments
    assert dont.daily.schedules[0].schedule.timezone is None


def test_an_unknown_zone_is_refused_but_only_when_you_deploy():
    """If Prefect does not know the name of the zone, you get this error when
    you deploy:
    """
    schedule = Cron("0 9 * * *", timezone="New_York")
    with pytest.raises(ValueError) as refused:
        report.to_deployment("unknown-zone", schedule=schedule)
    assert (
        'Invalid timezone: "New_York" (specify in IANA tzdata format,'
        " for example, America/New_York)" in str(refused.value)
    )


def test_an_abbreviation_never_changes_its_clocks(apply):
    """Name a region and not an abbreviation: Prefect accepts `EST`, but the
    clocks of that zone never change.
    """
    schedule = Cron("0 9 * * *", timezone="EST")
    apply(report.to_deployment("abbreviation", schedule=schedule))
    hours = [
        run.astimezone(UTC).hour
        for day in (date(2026, 1, 15), date(2026, 3, 8), date(2026, 7, 15))
        for run in planned("0 9 * * *", "EST", day)
    ]
    assert hours == [14, 14, 14]


@pytest.mark.parametrize(
    ("rule", "shape", "starts"),
    [
        ("FREQ=DAILY", "%H:%M", {"00:00"}),
        ("FREQ=DAILY;COUNT=5", "%H:%M", set()),
        ("FREQ=WEEKLY;INTERVAL=2", "%A %H:%M", {"Wednesday 00:00"}),
        (
            "DTSTART:20260303T090000\nRRULE:FREQ=WEEKLY;INTERVAL=2",
            "%A %H:%M",
            {"Tuesday 09:00"},
        ),
    ],
)
def test_a_rrule_begins_in_2020_unless_it_says_when(
    rule, shape, starts, apply, api
):
    """An `RRule` without `DTSTART` begins on 1 January 2020, a Wednesday, at
    midnight. So `FREQ=DAILY` means midnight, `FREQ=DAILY;COUNT=5` plans no run
    at all, and every second week means a Wednesday.
    """
    beside = Cron("30 12 * * *", timezone="America/New_York")
    schedules = [RRule(rule, timezone="America/New_York"), beside]
    this = apply(report.to_deployment("from-2020", schedules=schedules))

    def planned() -> set[str]:
        runs = api.read_flow_runs(deployment_filter=this)
        return {
            f"{run.expected_start_time.astimezone(NEW_YORK):{shape}}"
            for run in runs
        }

    settles(lambda: bool(planned()), True)
    assert {at for at in planned() if "12:30" not in at} == starts


def test_what_happens_when_the_clocks_change(table):
    """In a zone with summer time, some runs of a cron schedule move or fall
    away when the clocks change:

    Not all zones change them at the same hour: Santiago does it at midnight.
    """
    new_york, santiago = "America/New_York", "America/Santiago"
    autumn, march, september = (
        date(2026, 11, 1),
        date(2026, 3, 8),
        date(2026, 9, 6),
    )
    hourly = planned("0 * * * *", new_york, autumn)
    assert len(hourly) == 24

    def times(cron, zone, day):
        return ", ".join(f"{at:%H:%M}" for at in planned(cron, zone, day))

    rows = [
        [
            "`0 * * * *`",
            "New York, 1 November: the hour from 01:00 comes twice",
            f"{len(hourly)} runs in 25 hours",
        ]
    ] + [
        [f"`{cron}`", f"{night}", times(cron, zone, day)]
        for cron, night, zone, day in [
            (
                "30 1 * * *",
                "New York, 1 November: 01:30 comes twice",
                new_york,
                autumn,
            ),
            (
                "30 2 * * *",
                "New York, 8 March: there is no 02:30",
                new_york,
                march,
            ),
            (
                "30 0 * * *",
                "Santiago, 6 September: there is no 00:30",
                santiago,
                september,
            ),
        ]
    ]
    assert [row[2] for row in rows[1:]] == ["01:30", "03:30", "01:30"]
    table("clocks.md", ["Schedule", "Night in 2026", "What is planned"], rows)


def test_a_late_run_knows_the_day_that_it_was_planned_for(do, api, capsys):
    """A run may start late, even a day late, and `date.today()` is then another
    day.

    Prefect gives it in UTC, so bring it into your zone before you take its
    date:
    """
    close_day = import_module("late").close_day
    evening = Scheduled(scheduled_time=datetime(2026, 3, 8, 1, tzinfo=UTC))
    run = api.create_flow_run(close_day, state=evening)
    run_flow(close_day, flow_run=run)

    assert capsys.readouterr().out.splitlines() == [
        "The scheduled start is today: False",
        "Its date in UTC: 2026-03-08",
        "Its date in New York: 2026-03-07",
    ]
