"""Runs for many days of the past."""

from datetime import date, timedelta
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

DEPLOYMENT = "load-daily-sales/backfill"


def backfill(reason: str, first: date, last: date) -> list[FlowRun]:
    """Ask for a run for each day, and for none that has been asked for.

    Args:
        reason: What it is for. Two with one reason are the same backfill.
        first: Its first day.
        last: Its last day.

    Returns:
        A flow run for each day, of which some may have ended long ago.

    Raises:
        ValueError: If the last day is before the first.
    """
    if last < first:
        raise ValueError(f"{last} is before {first}.")
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    runs: list[Any] = [
        run_deployment(
            DEPLOYMENT,
            parameters={"day": day, "refresh": True},
            idempotency_key=f"{DEPLOYMENT} {reason} {day}",
            tags=[f"backfill:{reason}"],
            timeout=0,
        )
        for day in days
    ]
    return runs
