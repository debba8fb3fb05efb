from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.runtime import flow_run
from prefect.states import Scheduled


@flow
def close_day() -> None:
    start = flow_run.scheduled_start_time
    in_new_york = start.astimezone(ZoneInfo("America/New_York"))
    print(f"The scheduled start is today: {start.date() == date.today()}")
    print(f"Its date in UTC: {start.date()}")
    print(f"Its date in New York: {in_new_york.date()}")


if __name__ == "__main__":
    # 8 in the evening in New York, on 7 March. No worker was there to start it.
    start = datetime(2026, 3, 8, 1, 0, tzinfo=UTC)
    with get_client(sync_client=True) as api:
        run = api.create_flow_run(
            close_day, state=Scheduled(scheduled_time=start)
        )
    run_flow(close_day, flow_run=run)
