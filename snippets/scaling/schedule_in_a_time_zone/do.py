import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prefect import flow
from prefect.schedules import Cron
from prefect.server.schemas.schedules import CronSchedule


@flow
def sales_report() -> None: ...


# The report must be there at 9, when the shops in New York open.
daily = sales_report.to_deployment(
    "daily", schedule=Cron("0 9 * * *", timezone="America/New_York")
)


def next_runs(start: str, count: int) -> list[datetime]:
    """Ask the code with which a Prefect server plans the runs."""
    schedule = daily.schedules[0].schedule
    planner = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    first = datetime.fromisoformat(start)
    return asyncio.run(planner.get_dates(count, start=first))


if __name__ == "__main__":
    for run in next_runs("2026-03-06T00:00Z", count=4):
        in_new_york = run.astimezone(ZoneInfo("America/New_York"))
        print(f"{run.astimezone(UTC):%d %b %H:%M} UTC", end=" is ")
        print(f"{in_new_york:%H:%M} in New York")
