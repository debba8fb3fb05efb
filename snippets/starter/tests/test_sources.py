from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from daily_sales import sources
from daily_sales.settings import Settings
from daily_sales.sources import Order
from tests.shop import DAY, Shop


def test_the_web_shop_gives_the_orders_of_a_day(web_shop: Shop) -> None:
    with sources.web_shop(Settings()) as client:
        orders = sources.fetch_orders(client, DAY)
    assert orders == [
        Order(order_id="2026-03-01-0", cents=1200),
        Order(order_id="2026-03-01-1", cents=800),
    ]
    assert web_shop.asked == ["2026-03-01"]


def test_an_error_of_the_web_shop_is_raised(web_shop: Shop) -> None:
    web_shop.refusals = [503]
    with (
        sources.web_shop(Settings()) as client,
        pytest.raises(httpx.HTTPStatusError, match="503"),
    ):
        sources.fetch_orders(client, DAY)


def test_what_is_no_order_is_refused(web_shop: Shop) -> None:
    web_shop.sales = ["12.00 EUR"]
    with (
        sources.web_shop(Settings()) as client,
        pytest.raises(ValidationError, match="cents"),
    ):
        sources.fetch_orders(client, DAY)


def test_each_store_has_a_file(here: Path) -> None:
    files = sources.find_files(here / "csv", DAY)
    assert [file.stem for file in files] == ["berlin", "hamburg"]


def test_a_day_without_files_is_an_error(here: Path) -> None:
    with pytest.raises(FileNotFoundError, match="2026-03-01"):
        sources.find_files(here, DAY)


@pytest.mark.parametrize(
    "text",
    [
        "order_id,cents\n1,500\n2,5.00 EUR\n",
        "order_id,euros\n1,500\n",
        'order_id,cents\n1,500\n2,"250\n',
        b"order_id,cents\n1,500\n\xff,250\n",
    ],
    ids=["a wrong value", "a wrong column", "cut off", "not UTF-8"],
)
def test_a_bad_line_is_named(here: Path, text: str | bytes) -> None:
    file = here / "berlin.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match=r"berlin\.csv, line \d is no order"):
        sources.read_orders(file)
