import tracemalloc

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

DAYS = [f"2026-04-{day:02}" for day in range(1, 31)]


def export_orders(day: str) -> bytes:
    return bytes(10_000_000)  # what the shop sends: 10 MB a day


@task
def measure_export(day: str) -> int:
    return len(export_orders(day))


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def measure_month() -> None:
    sizes = measure_export.map(DAYS)
    total = sum(size.result() for size in sizes)
    held, _ = tracemalloc.get_traced_memory()
    print(f"{total:,} bytes read, all of them in memory: {held > total}")


if __name__ == "__main__":
    tracemalloc.start()
    measure_month()
