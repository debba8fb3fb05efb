import os
import re
from pathlib import Path

import pytest

from tests.backend import INITDB, postgres, prefect_server
from tests.programs import python

ROOM = Path("snippets/scaling/run_postgres_not_sqlite").resolve()


@pytest.fixture
def database():
    """A new PostgreSQL, as do.toml with its real address, and the password."""
    if INITDB is None:
        missing = "PostgreSQL is not installed: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    password = "only-for-this-test"
    with postgres(password) as port:
        shown = (ROOM / "do.toml").read_text()
        real = shown.replace("db.example.org", "127.0.0.1")
        yield real.replace("5432", str(port)), password


def after_the_load(home: Path, toml: str, **secret: str) -> str:
    (home / "prefect.toml").write_text(toml)
    with prefect_server(home, **secret) as url:
        load = python(ROOM / "load.py", cwd=home, PREFECT_API_URL=url)
    assert load.returncode == 0, load.stderr
    return load.stdout


def two_processes(home: Path, toml: str) -> str:
    (home / "prefect.toml").write_text(toml)
    refused = python(
        *("-m", "prefect", "server", "start", "--workers", "2"),
        cwd=home,
        PREFECT_HOME=str(home),
        COLUMNS="200",
    )
    assert refused.returncode == 1
    return refused.stdout + refused.stderr


def test_with_sqlite_some_runs_are_refused_and_the_log_does_not_say_so(
    tmp_path,
):
    toml = (ROOM / "dont.toml").read_text()
    said = after_the_load(tmp_path, toml)
    assert '{"exception_message":"Service Unavailable"}' in said
    assert said == (ROOM / "dont.txt").read_text()
    log = (tmp_path / "server.log").read_text()
    assert not re.search(r"\b503\b|Service Unavailable|POST", log), log


def test_with_postgres_every_run_is_created(tmp_path, database):
    toml, password = database
    secret = {"PREFECT_SERVER_DATABASE_PASSWORD": password}
    said = after_the_load(tmp_path, toml, **secret)
    assert said == (ROOM / "do.txt").read_text()
    assert not (tmp_path / "prefect.db").exists()


def test_with_sqlite_prefect_refuses_a_second_server_process(tmp_path):
    assert (
        "Multi-worker mode (--workers > 1) is not supported with SQLite"
        " database."
        in two_processes(tmp_path, (ROOM / "dont.toml").read_text())
    )


def test_with_postgres_a_second_server_process_asks_for_redis(tmp_path):
    assert (
        "Multi-worker mode (--workers > 1) requires Redis for messaging and"
        " lease storage."
        in two_processes(tmp_path, (ROOM / "do.toml").read_text())
    )
