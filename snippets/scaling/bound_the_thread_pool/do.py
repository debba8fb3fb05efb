import threading

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

table = threading.Lock()


@task
def count_readings(half_hour: int) -> int:
    with table:
        return 2


@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def count_day(half_hours: int) -> int:
    with table:  # the nightly backup has locked the table
        counts = count_readings.map(range(half_hours))
        names = [thread.name for thread in threading.enumerate()]
        threads = sum("ThreadPoolExecutor" in name for name in names)
        print(f"Threads for {half_hours} queries: {threads}")
    return sum(counts.result())


if __name__ == "__main__":
    print(f"Readings: {count_day(24 * 2)}")
