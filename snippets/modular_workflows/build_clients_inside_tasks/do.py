import sqlite3
from contextlib import closing
from tempfile import TemporaryDirectory

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE

queries = []


@task(cache_policy=INPUTS + TASK_SOURCE)
def revenue(database: str, day: str) -> float:
    queries.append(day)
    sql = "SELECT sum(price) FROM orders WHERE day = ?"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql, [day]).fetchone()[0]


@flow
def report(database: str, day: str) -> None:
    print(f"{day}: {revenue(database, day)} EUR")


def create_orders(database: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (day, price)")
        orders = [("2026-03-02", 12.5), ("2026-03-02", 8.0)]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", orders)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        create_orders(f"{folder}/orders.db")
        report(f"{folder}/orders.db", "2026-03-02")
        report(f"{folder}/orders.db", "2026-03-02")
    print(f"Queries: {len(queries)}")
