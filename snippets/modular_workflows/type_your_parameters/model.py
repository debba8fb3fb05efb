from datetime import date

from prefect import flow, task
from pydantic import BaseModel, Field


class Period(BaseModel, extra="forbid"):
    first_day: date
    days: int = Field(default=1, ge=1, le=31)


@task
def load_prices(period: Period) -> None:
    print(f"Loaded {period.days} days from {period.first_day} on")


@flow
def reload_prices(period: Period) -> None:
    load_prices(period)


if __name__ == "__main__":
    for form in (
        {"first_day": "2026-03-01", "days": 200},
        {"first_day": "2026-03-01", "dyas": 2},
    ):
        print(form)
        state = reload_prices(**{"period": form}, return_state=True)
        print(f"{state.name}: {state.message}")
