import sqlite3
from tempfile import TemporaryDirectory

from prefect import flow, task

ORDERS = {"2026-03-01": [("order-1", 20), ("order-2", 22)]}


@task
def save(orders: list[tuple[str, int]], file: str) -> None:
    with sqlite3.connect(file) as shop:
        shop.execute("create table if not exists orders (id, price)")
        shop.executemany("insert into orders values (?, ?)", orders)


@task
def revenue(file: str) -> int:
    with sqlite3.connect(file) as shop:
        return shop.execute("select sum(price) from orders").fetchone()[0]


@flow
def load_orders(day: str, file: str) -> int:
    save(ORDERS[day], file)
    return revenue(file)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        for run in ("First run", "The same day again"):
            total = load_orders("2026-03-01", f"{folder}/shop.db")
            print(f"{run}: revenue {total}")
