import time
from tempfile import TemporaryDirectory

import power_cut
from prefect import flow, task
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings


@task
def count_orders(day: str) -> int:
    print(f"Counting {day}")
    time.sleep(0.6)
    return 3


@flow
def report() -> int:
    days = ("2026-03-01", "2026-03-02", "2026-03-03")
    return sum(count_orders(day) for day in days)


if __name__ == "__main__":
    with TemporaryDirectory() as storage:
        power_cut.run_and_kill(__file__, storage, "Counting 2026-03-03")
        with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
            print(f"Orders: {report()}")
