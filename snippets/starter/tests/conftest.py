import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from daily_sales import flows
from daily_sales.set_up import set_up
from tests import shop
from tests.shop import Shop


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def opened_shop() -> Iterator[Shop]:
    with shop.open_shop() as opened:
        yield opened


@pytest.fixture
def web_shop(opened_shop: Shop) -> Shop:
    opened_shop.begin()
    return opened_shop


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path, web_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder for each test, and settings that lead to it alone."""
    for name in os.environ:
        if name.startswith("DAILY_SALES_"):
            monkeypatch.delenv(name)
    for name, value in shop.variables(tmp_path, web_shop).items():
        monkeypatch.setenv(name, value)
    shop.send_files(tmp_path / "csv")
    settings = {
        PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(settings):
        yield tmp_path


@pytest.fixture
def ready(
    prefect_server: None, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a run needs, and retries that do not wait."""
    set_up()
    for name in "fetch_orders", "save_orders", "publish_report":
        instant = getattr(flows, name).with_options(retry_delay_seconds=0)
        monkeypatch.setattr(flows, name, instant)
