from collections import Counter
from datetime import date

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter
from prefect.deployments import run_deployment

NAME = "load-readings/backfill"
DAYS = [date(2026, 3, day) for day in (1, 2, 3, 4)]


@flow
def load_readings(day: date) -> None: ...


def backfill(days: list[date]) -> None:
    for day in days:
        run_deployment(
            NAME,
            parameters={"day": day},
            timeout=0,
            idempotency_key=f"{NAME}: {day}",
            tags=["backfill-march"],
        )


if __name__ == "__main__":
    deployment = load_readings.to_deployment("backfill").apply()
    backfill(DAYS[:2])  # here the laptop is closed
    backfill(DAYS)  # so somebody starts it again

    with get_client(sync_client=True) as api:
        this = DeploymentFilter(id={"any_": [deployment]})
        runs = api.read_flow_runs(deployment_filter=this)
        api.delete_deployment(deployment)
    for day, count in sorted(
        Counter(r.parameters["day"] for r in runs).items()
    ):
        print(f"Runs of {day}: {count}")
