import asyncio
import re
import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import httpx
import prefect.cli.server
import pytest
from prefect.client.orchestration import get_client
from sqlalchemy.exc import OperationalError

from tests.backend import free_port, postgres, prefect_server
from tests.programs import python

ROOM = Path("snippets/scaling/run_postgres_not_sqlite").resolve()


@pytest.fixture
def database():
    """A new PostgreSQL, as do.toml with its real address, and the password."""
    password = "only-for-this-test"
    with postgres(password) as port:
        shown = (ROOM / "do.toml").read_text()
        real = shown.replace("db.example.org", "127.0.0.1")
        yield real.replace("5432", str(port)), password


def load(url: str) -> str:
    ended = python(ROOM / "load.py", cwd=ROOM, PREFECT_API_URL=url)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


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
    """SQLite lets one writer in at a time, so a server that several machines
    use refuses some of what they send.

    The server answers 503. Its log says nothing of these refusals.
    """
    shutil.copy(ROOM / "dont.toml", tmp_path / "prefect.toml")
    with prefect_server(tmp_path) as url:
        said = load(url)
    assert (tmp_path / "prefect.db").exists()
    assert '{"exception_message":"Service Unavailable"}' in said
    assert said == (ROOM / "dont.txt").read_text()
    log = (tmp_path / "server.log").read_text()
    assert not re.search(r"\b503\b|Service Unavailable|POST", log), log


def test_a_writer_waits_a_minute_for_the_other(tmp_path):
    """A write that finds another one under way waits, for a minute at most.
    After that, SQLite says:
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    file = tmp_path / "prefect.db"
    database = AioSqliteConfiguration(f"sqlite+aiosqlite:///{file}")

    async def write() -> None:
        engine = await database.engine()
        async with engine.connect() as connection:
            wait = await connection.exec_driver_sql("PRAGMA busy_timeout")
            assert wait.scalar_one() == 60_000
            await connection.exec_driver_sql("PRAGMA busy_timeout = 1")
            with closing(sqlite3.connect(file)) as other:
                other.execute("BEGIN IMMEDIATE")
                await connection.exec_driver_sql("CREATE TABLE runs (id)")

    with pytest.raises(OperationalError) as refused:
        asyncio.run(write())
    assert "(sqlite3.OperationalError) database is locked" in str(refused.value)


def test_the_client_hides_the_first_refusals(monkeypatch):
    """Prefect's own client tries again, by default five times, and waits longer
    each time, so the first thing that you see is slow flows.
    """
    asked, waits = [], []

    def refuse(request):
        asked.append(request)
        return httpx.Response(503)

    clock = SimpleNamespace(sleep=waits.append)
    monkeypatch.setattr("prefect.client.base.time", clock)
    transport = httpx.MockTransport(refuse)
    with (
        pytest.raises(httpx.HTTPStatusError, match="503"),
        get_client({"transport": transport}, sync_client=True) as client,
    ):
        client.request("GET", "/flows/any")
    assert len(asked) == 1 + 5
    assert waits == sorted(waits) and waits[-1] > 30


def test_with_postgres_every_run_is_created(tmp_path, database):
    """You create the database, and the server creates its tables.

    Prefect does not check this: two servers of one process each start on the
    same database without Redis, and without a warning.
    """
    toml, password = database
    secret = {"PREFECT_SERVER_DATABASE_PASSWORD": password}
    for home in tmp_path, tmp_path / "second":
        home.mkdir(exist_ok=True)
        (home / "prefect.toml").write_text(toml)
    with prefect_server(tmp_path, **secret) as url:
        assert load(url) == (ROOM / "do.txt").read_text()
        with prefect_server(tmp_path / "second", **secret) as second:
            assert httpx.get(f"{second}/ready", timeout=30).is_success
    assert not (tmp_path / "prefect.db").exists()
    log = (tmp_path / "second" / "server.log").read_text()
    assert not re.search("redis|warn", log, re.IGNORECASE), log


def test_the_five_settings_are_one_address(tmp_path):
    """One setting can replace the five and the password:
    `PREFECT_SERVER_DATABASE_CONNECTION_URL`, here
    `postgresql+asyncpg://prefect:PASSWORD@db.example.org:5432/prefect`.
    """
    toml = (ROOM / "do.toml").read_text()
    assert tomllib.loads(toml)["server"]["database"].keys() == {
        *("driver", "host", "port", "user", "name"),
    }
    (tmp_path / "prefect.toml").write_text(toml)
    show = tmp_path / "show.py"
    show.write_text(
        "from prefect.settings import get_current_settings\n"
        "database = get_current_settings().server.database\n"
        "print(database.connection_url.get_secret_value())\n"
    )
    seen = python(
        show,
        cwd=tmp_path,
        PREFECT_HOME=str(tmp_path),
        PREFECT_SERVER_DATABASE_PASSWORD="PASSWORD",
    )
    assert seen.stdout == (
        "postgresql+asyncpg://prefect:PASSWORD@db.example.org:5432/prefect\n"
    )


def test_with_sqlite_prefect_refuses_a_second_server_process(tmp_path):
    """If you ask for more than one server process on SQLite:"""
    assert (
        "Multi-worker mode (--workers > 1) is not supported with SQLite"
        " database."
        in two_processes(tmp_path, (ROOM / "dont.toml").read_text())
    )


def test_with_postgres_a_second_server_process_asks_for_redis(tmp_path):
    """Prefect refuses to start `prefect server start --workers 2` without it,
    and names the settings.
    """
    refused = two_processes(tmp_path, (ROOM / "do.toml").read_text())
    assert (
        "Multi-worker mode (--workers > 1) requires Redis for messaging and"
        " lease storage." in refused
    )
    for setting in (
        "PREFECT_MESSAGING_BROKER",
        "PREFECT_MESSAGING_CACHE",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
    ):
        assert setting in refused


@pytest.mark.parametrize(("workers", "services"), [(1, True), (2, False)])
def test_several_processes_run_no_services(workers, services, monkeypatch):
    """With `--workers 2` the server runs no background services."""
    seen = {}

    def run(console, settings, host, port, keep, no_services, workers, **rest):
        seen.update(services=not no_services, workers=workers)

    tools = "prefect.cli._server_utils"
    monkeypatch.setattr(f"{tools}._validate_multi_worker", lambda *_: None)
    monkeypatch.setattr(f"{tools}._run_in_foreground", run)
    prefect.cli.server.start(port=free_port(), workers=workers)
    assert seen == {"services": services, "workers": workers}
