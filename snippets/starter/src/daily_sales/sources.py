"""Where orders come from: the web shop, and a CSV file from each store."""

import csv
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from daily_sales.settings import Settings


class Order(BaseModel):
    """An order, as the web shop and the stores give it.

    Attributes:
        order_id: Its number, unique within its source.
        cents: What was paid, in cents of a euro.
    """

    order_id: str
    cents: int


ORDERS = TypeAdapter(list[Order])


def web_shop(settings: Settings) -> httpx.Client:
    """A client for the web shop. It waits for an answer for 30 seconds."""
    token = settings.shop_token.get_secret_value()
    return httpx.Client(
        base_url=str(settings.shop_url),
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )


def fetch_orders(shop: httpx.Client, day: date) -> list[Order]:
    """Ask the web shop for its orders of a day.

    Raises:
        httpx.HTTPStatusError: If it answers with an error.
        httpx.TransportError: If it does not answer.
        pydantic.ValidationError: If what it sends are not orders.
    """
    answer = shop.get("orders", params={"day": day.isoformat()})
    return ORDERS.validate_json(answer.raise_for_status().content)


def find_files(folder: Path, day: date) -> Sequence[Path]:
    """Find the files that the stores sent of a day.

    Returns:
        Their paths, sorted. The name of a file is that of its store.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted((folder / day.isoformat()).glob("*.csv"))
    if not files:
        raise FileNotFoundError(f"No CSV files of {day} in {folder}.")
    return files


def read_orders(file: Path) -> list[Order]:
    """Read the file of a store, with the columns `order_id` and `cents`.

    Raises:
        ValueError: If a line is no order. It names the file and the line.
    """
    orders = []
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                orders.append(Order.model_validate(row))
        except (csv.Error, UnicodeDecodeError, ValidationError) as error:
            line = f"{file.name}, line {reader.line_num}"
            raise ValueError(f"{line} is no order.") from error
    return orders
