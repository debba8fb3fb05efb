from datetime import date, timedelta

from prefect import flow, task

warehouse = {"2026-02-27": 8.0, "2026-02-28": 12.5}


@task
def delete_prices() -> None:
    warehouse.clear()


@task
def load_prices(first_day: date, days: int) -> None:
    for number in range(days):
        day = first_day + timedelta(days=number)
        warehouse[day.isoformat()] = 9.0


@flow
def reload_prices(first_day, days) -> None:
    delete_prices()
    load_prices(first_day, days)


if __name__ == "__main__":
    form = {"first_day": "2026-13-01", "days": "ten"}
    state = reload_prices(**form, return_state=True)
    print(f"{state.name}: {state.message}")
    print(f"Prices in the warehouse: {len(warehouse)}")
