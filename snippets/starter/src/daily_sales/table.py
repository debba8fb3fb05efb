"""The table of all orders, in PostgreSQL or SQLite."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import postgresql, sqlite

from daily_sales.sources import Order

METADATA = sa.MetaData()
SALES = sa.Table(
    "daily_sales",
    METADATA,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("order_id", sa.String, primary_key=True),
    sa.Column("day", sa.Date, nullable=False, index=True),
    sa.Column("cents", sa.BigInteger, nullable=False),
)
INSERT: dict[str, Callable[[sa.Table], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


class Total(NamedTuple):
    """What a source sold on a day.

    Attributes:
        source: The web shop or a store.
        orders: The number of its orders.
        cents: What was paid for them, in cents of a euro.
    """

    source: str
    orders: int
    cents: int


@contextmanager
def connected(url: SecretStr) -> Iterator[sa.Connection]:
    """Connect to the database for one transaction.

    Yields:
        A connection. What is done with it is kept, if the block raises nothing.

    Raises:
        sqlalchemy.exc.OperationalError: If the database is away or locked.
    """
    engine = sa.create_engine(url.get_secret_value(), hide_parameters=True)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def save_orders(
    connection: sa.Connection, source: str, day: date, orders: Sequence[Order]
) -> None:
    """Store the orders of a source, in the place of those already stored."""
    if orders:
        of = {"source": source, "day": day}
        insert = INSERT[connection.dialect.name](SALES)
        new = {"day": insert.excluded.day, "cents": insert.excluded.cents}
        connection.execute(
            insert.on_conflict_do_update(SALES.primary_key, set_=new),
            [order.model_dump() | of for order in orders],
        )


def read_totals(connection: sa.Connection, day: date) -> list[Total]:
    """Add up what each source sold on a day, sorted by their names."""
    query = (
        sa.select(SALES.c.source, sa.func.count(), sa.func.sum(SALES.c.cents))
        .where(SALES.c.day == day)
        .group_by(SALES.c.source)
        .order_by(SALES.c.source)
    )
    return [
        Total(source, orders, int(cents))
        for source, orders, cents in connection.execute(query)
    ]
