import shutil
import sqlite3
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.settings.models.server.services import (
    ServerServicesDBVacuumSettings,
)

from tests.backend import patient, prefect_server
from tests.observe import settles

ROOM = Path("snippets/scaling/trim_the_database")
OFTEN = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "1",  # not each hour
    "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
}


@flow
def load_orders() -> None: ...


def stored_after(home: Path, settings: str, expected: set[str]) -> None:
    """Run twice on a server with these settings, one run 40 days ago."""
    shutil.copy(ROOM / settings, home / "prefect.toml")
    with (
        prefect_server(home, **OFTEN) as url,
        temporary_settings({PREFECT_API_URL: url}),
        get_client(sync_client=True) as api,
    ):
        for name in ("today", "40 days ago"):
            load_orders.with_options(flow_run_name=name)()
        with sqlite3.connect(
            home / "prefect.db", timeout=patient(60)
        ) as database:
            database.execute(
                "UPDATE flow_run SET end_time = datetime('now', '-40 days')"
                " WHERE name = '40 days ago'"
            )
        runs = "/flow_runs/filter"
        settles(
            lambda: {r["name"] for r in api.request("POST", runs).json()},
            expected,
        )


def test_by_default_no_run_is_ever_deleted(tmp_path):
    stored_after(tmp_path, "dont.toml", {"today", "40 days ago"})
    log = (tmp_path / "server.log").read_text()
    assert "Scheduling perpetual service: schedule_event_vacuum_tasks" in log
    assert "Scheduling perpetual service: schedule_vacuum_tasks" not in log


def test_switched_on_the_server_forgets_a_run_of_forty_days_ago(tmp_path):
    stored_after(tmp_path, "do.toml", {"today"})


def test_false_still_means_that_events_are_trimmed():
    off = ServerServicesDBVacuumSettings(enabled="false")
    assert off.enabled_vacuum_types == {"events"}


def test_a_misspelled_type_is_refused():
    typo = ServerServicesDBVacuumSettings(enabled="flow-runs")
    with pytest.raises(ValueError) as error:
        _ = typo.enabled_vacuum_types
    assert str(error.value) == (
        "Invalid vacuum type(s): ['flow-runs']."
        " Valid values are: ['events', 'flow_runs', 'orphans']"
    )
