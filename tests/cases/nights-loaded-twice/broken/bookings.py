from datetime import date

from prefect import flow, task


@task
def load(hotel: str, night: date) -> int:
    print(f"Loading the bookings of {hotel} on {night}")
    return 42


@flow(name="hotel-bookings", log_prints=True)
def load_night(night: date) -> int:
    return sum(load(hotel, night) for hotel in ("Harbour", "Old Town"))


if __name__ == "__main__":
    load_night.serve("night")
