import shutil
import sqlite3
import tomllib
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.objects import State
from prefect.settings import (
    get_current_settings,
)
from prefect.settings.models.server.services import (
    ServerServicesDBVacuumSettings,
)
from prefect.states import Completed, Late, Paused, Running
from prefect.types._datetime import now

from tests.backend import patient, prefect_server
from tests.observe import client_of, settles

ROOM = Path("snippets/scaling/trim_the_database")
OFTEN = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "1",  # not each hour
    "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
}
RUNS = {
    "today": Completed(),
    "40 days ago": Completed(),
    "40 days ago, not ended": Running(),
    "40 days ago, not begun": Late(),
    "40 days ago, not resumed": Paused(),
}


@task
def load() -> None: ...


@flow
def load_orders() -> None: ...


def store(api, name: str, state: State) -> None:
    """Store a run with a task run, a log and an artifact, the newest."""
    run = api.create_flow_run(load_orders, name=name, state=state).id
    api.create_task_run(load, run, dynamic_key="0", state=Completed())
    log = {"name": "prefect.flow_runs", "level": 20, "message": "It begins."}
    log |= {"timestamp": now("UTC"), "flow_run_id": run}
    api.create_logs([LogCreate(**log)])
    artifact = {"key": "orders", "type": "markdown", "flow_run_id": str(run)}
    api.request("POST", "/artifacts/", json=artifact)


def kept(database: sqlite3.Connection) -> dict[str, list[str]]:
    """Of which runs there are flow runs, task runs, logs and artifacts."""
    runs = dict(database.execute("SELECT id, name FROM flow_run"))
    left = {"flow_run": sorted(runs.values())}
    for table in "task_run", "log", "artifact":
        ids = database.execute(f"SELECT flow_run_id FROM {table}")
        left[table] = sorted(
            runs.get(one, "of a deleted run") for (one,) in ids
        )
    return left


def stored_after(home: Path, settings: str, names: set[str]) -> None:
    """Store the runs on a server, most of them long ago, and let it trim."""
    shutil.copy(ROOM / settings, home / "prefect.toml")
    with (
        prefect_server(home, **OFTEN) as url,
        client_of(url) as api,
        closing(
            sqlite3.connect(home / "prefect.db", timeout=patient(60))
        ) as database,
    ):
        for name, state in RUNS.items():
            store(api, name, state)
        with database:
            for time in "end_time", "start_time", "expected_start_time":
                database.execute(
                    f"UPDATE flow_run SET {time} = datetime({time}, '-40 days')"
                    " WHERE name != 'today'"
                )
        tables = "flow_run", "task_run", "log", "artifact"
        expected = {table: sorted(names) for table in tables}
        settles(lambda: kept(database), expected)


def test_by_default_no_run_is_ever_deleted(tmp_path):
    """A self-hosted server keeps every flow run, log and artifact forever,
    unless you say how long history lives.

    By default it deletes events only. It does not look at flow runs at all, so
    their retention period has nothing to act on. With the file above, a run
    that ended 40 days ago is still there.
    """
    said = tomllib.loads((ROOM / "dont.toml").read_text())
    month = timedelta(days=30).total_seconds()
    assert said["server"]["services"]["db_vacuum"] == {
        "retention_period": month
    }
    stored_after(tmp_path, "dont.toml", {*RUNS})
    log = (tmp_path / "server.log").read_text()
    assert "Scheduling perpetual service: schedule_event_vacuum_tasks" in log
    assert "Scheduling perpetual service: schedule_vacuum_tasks" not in log


def test_switched_on_the_server_forgets_a_run_of_forty_days_ago(tmp_path):
    """With this file, the server deletes flow runs that ended more than 30 days
    ago, with their task runs, logs and artifacts.

    It does not delete a run that never ended, such as one that is `Running`,
    `Late` or `Paused`, and its logs stay too.

    The artifacts of a run go with it, even if they are the newest of their key.
    """
    said = tomllib.loads((ROOM / "do.toml").read_text())
    assert said["server"]["services"]["db_vacuum"] == {
        "enabled": ["events", "flow_runs"],
        "retention_period": timedelta(days=30).total_seconds(),
    }
    stored_after(tmp_path, "do.toml", {*RUNS} - {"40 days ago"})


def test_the_defaults():
    """By default events live for seven days.

    It looks once an hour.

    The default period is 90 days, and it must be longer than one hour.
    """
    events = get_current_settings().server.events
    assert events.retention_period == timedelta(days=7)
    vacuum = ServerServicesDBVacuumSettings()
    assert vacuum.loop_seconds == timedelta(hours=1).total_seconds()
    assert vacuum.retention_period == timedelta(days=90)
    with pytest.raises(ValueError, match="greater than"):
        ServerServicesDBVacuumSettings(retention_period=3600)
    ServerServicesDBVacuumSettings(retention_period=3601)


def test_the_same_as_environment_variables(monkeypatch):
    """The same settings as environment variables begin with
    `PREFECT_SERVER_SERVICES_DB_VACUUM_`.
    """
    file = tomllib.loads((ROOM / "do.toml").read_text())
    prefix = "PREFECT_SERVER_SERVICES_DB_VACUUM_"
    monkeypatch.setenv(f"{prefix}ENABLED", "events,flow_runs")
    monkeypatch.setenv(f"{prefix}RETENTION_PERIOD", "2592000")
    of_file = file["server"]["services"]["db_vacuum"]
    assert ServerServicesDBVacuumSettings() == ServerServicesDBVacuumSettings(
        **of_file
    )


def test_false_still_means_that_events_are_trimmed():
    """`enabled = false` is no off switch, and means the same as the default:
    only events. `enabled = true` means everything.
    """
    default = ServerServicesDBVacuumSettings().enabled_vacuum_types
    off = ServerServicesDBVacuumSettings(enabled="false")
    assert off.enabled_vacuum_types == default == {"events"}
    on = ServerServicesDBVacuumSettings(enabled="true")
    assert on.enabled_vacuum_types == {"events", "flow_runs", "orphans"}


def test_a_misspelled_type_is_refused():
    """If you switch the deletion on and misspell what to delete, it says:"""
    typo = ServerServicesDBVacuumSettings(enabled="flow-runs")
    with pytest.raises(ValueError) as error:
        _ = typo.enabled_vacuum_types
    assert str(error.value) == (
        "Invalid vacuum type(s): ['flow-runs']."
        " Valid values are: ['events', 'flow_runs', 'orphans']"
    )
