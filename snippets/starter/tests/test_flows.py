from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import OperationalError

from daily_sales import flows, table
from daily_sales.flows import load_daily_sales
from daily_sales.settings import Settings
from daily_sales.table import Total
from tests.shop import DAY, Shop, send_files

BERLIN, HAMBURG = Total("berlin", 2, 750), Total("hamburg", 1, 100)
WEB_SHOP = Total("web-shop", 2, 2000)


def run(**parameters: Any) -> State[Any]:
    return load_daily_sales(**parameters, return_state=True)


def totals(day: date = DAY) -> list[Total]:
    with table.connected(Settings().database_url) as connection:
        return table.read_totals(connection, day)


def test_a_day_is_loaded_and_reported(ready: None) -> None:
    state = run(day=DAY)
    assert state.is_completed()
    assert totals() == [BERLIN, HAMBURG, WEB_SHOP]
    with get_client(sync_client=True) as client:
        assert state.state_details.flow_run_id
        flow_run = client.read_flow_run(state.state_details.flow_run_id)
        (artifact,) = client.read_artifacts()
    assert flow_run.name == "sales of 2026-03-01"
    assert artifact.flow_run_id == flow_run.id
    assert artifact.description == "Sales of 2026-03-01. Missing: none."
    assert '"orders": 2, "cents": 2000' in str(artifact.data)


def test_a_second_run_changes_nothing(ready: None, web_shop: Shop) -> None:
    for _ in range(2):
        assert run(day=DAY).is_completed()
    assert totals() == [BERLIN, HAMBURG, WEB_SHOP]
    assert web_shop.asked == ["2026-03-01"]


def test_the_web_shop_is_asked_for_each_day_and_on_request(
    ready: None, here: Path, web_shop: Shop
) -> None:
    send_files(here / "csv", date(2026, 3, 2))
    assert run(day=DAY).is_completed()
    assert run(day=date(2026, 3, 2)).is_completed()
    web_shop.sales = [900, 800]
    assert run(day=DAY, refresh=True).is_completed()
    assert web_shop.asked == ["2026-03-01", "2026-03-02", "2026-03-01"]
    assert totals() == [BERLIN, HAMBURG, Total("web-shop", 2, 1700)]


@pytest.mark.parametrize(
    ("refusals", "asked", "ends"),
    [
        ([500, 429, 503], 4, "Completed"),
        ([503, 503, 503, 503], 4, "Failed"),
        ([404], 1, "Failed"),
    ],
    ids=str,
)
def test_only_what_passes_is_tried_again(
    ready: None, web_shop: Shop, refusals: list[int], asked: int, ends: str
) -> None:
    web_shop.refusals = refusals
    state = run(day=DAY)
    assert state.name == ends
    assert len(web_shop.asked) == asked
    if state.is_failed():
        assert state.message and "Not loaded: web-shop." in state.message
        assert totals() == [BERLIN, HAMBURG]


def test_a_bad_file_does_not_stop_the_others(ready: None, here: Path) -> None:
    (here / f"csv/{DAY}/berlin.csv").write_text("order_id,cents\n1,free\n")
    state = run(day=DAY)
    assert state.is_failed()
    assert state.message and "Not loaded: berlin." in state.message
    assert totals() == [HAMBURG, WEB_SHOP]


def test_a_locked_database_is_tried_again(
    ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[SecretStr] = []
    connected = table.connected

    @contextmanager
    def locked_at_first(url: SecretStr) -> Iterator[sa.Connection]:
        tries.append(url)
        if len(tries) <= 3:
            locked = Exception("database is locked")
            raise OperationalError("INSERT", {}, locked)
        with connected(url) as connection:
            yield connection

    monkeypatch.setattr(table, "connected", locked_at_first)
    assert run(day=DAY).is_completed()
    assert totals() == [BERLIN, HAMBURG, WEB_SHOP]


def test_an_empty_setting_stops_the_run_and_is_named(
    ready: None, web_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILY_SALES_SHOP_TOKEN", "")
    state = run(day=DAY)
    with pytest.raises(ValidationError, match="shop_token"):
        state.result()
    assert "sqlite" not in str(state.message)
    assert web_shop.asked == []


def test_a_wrong_parameter_is_refused(ready: None, web_shop: Shop) -> None:
    state = run(day="yesterday")
    assert state.is_failed()
    assert web_shop.asked == []


def test_without_its_limit_the_web_shop_is_not_asked(
    ready: None, web_shop: Shop
) -> None:
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name(flows.SHOP_LIMIT)
    assert run(day=DAY).is_failed()
    assert web_shop.asked == []
