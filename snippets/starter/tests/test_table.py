from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from daily_sales import table
from daily_sales.settings import Settings
from daily_sales.sources import Order
from daily_sales.table import Total
from tests.shop import DAY

ORDERS = [Order(order_id="1", cents=500), Order(order_id="2", cents=250)]


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    with table.connected(Settings().database_url) as connection:
        table.METADATA.create_all(connection)
        yield connection


def test_the_second_time_replaces_the_first(connection: sa.Connection) -> None:
    table.save_orders(connection, "berlin", DAY, ORDERS)
    corrected = [Order(order_id="1", cents=300), *ORDERS[1:]]
    table.save_orders(connection, "berlin", DAY, corrected)
    assert table.read_totals(connection, DAY) == [Total("berlin", 2, 550)]


def test_two_sources_may_use_one_number(connection: sa.Connection) -> None:
    table.save_orders(connection, "hamburg", DAY, ORDERS[:1])
    table.save_orders(connection, "berlin", DAY, ORDERS)
    table.save_orders(connection, "closed", DAY, [])
    assert table.read_totals(connection, DAY) == [
        Total("berlin", 2, 750),
        Total("hamburg", 1, 500),
    ]


def test_all_orders_of_a_source_are_stored_or_none() -> None:
    url = Settings().database_url
    with table.connected(url) as connection:
        table.METADATA.create_all(connection)
    with (
        pytest.raises(KeyboardInterrupt),
        table.connected(url) as connection,
    ):
        table.save_orders(connection, "berlin", DAY, ORDERS)
        raise KeyboardInterrupt
    with table.connected(url) as connection:
        assert table.read_totals(connection, DAY) == []


def test_postgresql_is_asked_to_replace_too() -> None:
    class Recorder:
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

        def execute(self, statement: sa.Insert, rows: object) -> None:
            self.asked = str(statement.compile(dialect=self.dialect))

    recorder = Recorder()
    table.save_orders(recorder, "berlin", DAY, ORDERS)  # type: ignore[arg-type]
    assert "ON CONFLICT (source, order_id) DO UPDATE" in recorder.asked
