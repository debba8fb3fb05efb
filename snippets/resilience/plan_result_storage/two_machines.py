from tempfile import TemporaryDirectory

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

fetched = []


@task(cache_policy=INPUTS + TASK_SOURCE)
def fetch_orders(day: str) -> list[str]:
    fetched.append(day)
    return ["order-1", "order-2", "order-3"]


@flow
def count_orders(day: str) -> int:
    return len(fetch_orders(day))


def run_on_machine_with(storage: str, day: str) -> None:
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        count_orders(day)


if __name__ == "__main__":
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        run_on_machine_with(one, "2026-03-01")
        run_on_machine_with(other, "2026-03-01")
        print(f"A storage for each machine: fetched {len(fetched)} times")

        fetched.clear()
        run_on_machine_with(one, "2026-03-02")
        run_on_machine_with(one, "2026-03-02")
        print(f"One storage for both: fetched {len(fetched)} time")
