"""Load nights again: load_again.py 2026-05-01 2026-05-31."""

import sys
from datetime import date, timedelta

from prefect.deployments import run_deployment

DEPLOYMENT = "hotel-bookings/night"


def load_again(first: date, last: date) -> None:
    night = first
    while night <= last:
        run = run_deployment(DEPLOYMENT, parameters={"night": night}, timeout=0)
        print(f"{night}: {run.name}")
        night += timedelta(days=1)


if __name__ == "__main__":
    load_again(*map(date.fromisoformat, sys.argv[1:]))
