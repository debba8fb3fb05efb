from pathlib import Path
from tempfile import TemporaryDirectory

from cluster import cluster, replace_worker
from prefect import Flow, flow, task
from prefect_dask import DaskTaskRunner


@task(persist_result=True)
def load(day: int, table: Path) -> int:
    with table.open("a") as rows:
        rows.write(f"2026-03-{day:02}\n")
    return day * 100


@task
def add_up(orders: list[int]) -> int:
    return sum(orders)


@flow
def load_all(table: Path, scheduler: str) -> int:
    loaded = load.map([1, 2, 3, 4, 5, 6], table)
    loaded.wait()
    replace_worker(scheduler)  # a machine fails, and another one joins
    return add_up.submit(loaded).result()


def on_cluster(scheduler: str) -> Flow:
    return load_all.with_options(task_runner=DaskTaskRunner(address=scheduler))


if __name__ == "__main__":
    with cluster() as scheduler, TemporaryDirectory() as folder:
        table = Path(folder, "orders.csv")
        total = on_cluster(scheduler)(table, scheduler)
        rows = table.read_text().splitlines()
        print(f"Orders: {total}")
        print(f"Rows for 6 days: {len(rows)}")
