import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.backend import free_port, prefect_server

ROOM = Path("snippets/scaling/run_postgres_not_sqlite")
INSTALLED = Path("/usr/lib/postgresql").glob("*/bin")  # Debian, Ubuntu
INITDB = shutil.which(
    "initdb", path=os.pathsep.join([*map(str, INSTALLED), os.environ["PATH"]])
)


@pytest.fixture
def postgres():
    """A new PostgreSQL, as do.toml with its real address, and the password."""
    if INITDB is None:
        missing = "PostgreSQL is not installed: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    password, port = "only-for-this-test", str(free_port())

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [Path(INITDB).with_name(program), *arguments],
            cwd=home,
            env=os.environ | {"PGPASSWORD": password},
            check=True,
            stdout=subprocess.DEVNULL,
            **(who if root else {}),
        )

    with tempfile.TemporaryDirectory() as home:
        Path(home, "password").write_text(password)
        if root:
            shutil.chown(home, "postgres")
        Path(home, "password").chmod(0o644)
        access = ["--auth=scram-sha-256", f"--pwfile={home}/password"]
        run("initdb", "--pgdata=data", "--username=prefect", "-N", *access)
        listen = f"-F -p {port} -h 127.0.0.1 -k {home}"
        run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", listen, "start")
        try:
            run("createdb", "-h", home, "-p", port, "-U", "prefect", "prefect")
            shown = (ROOM / "do.toml").read_text()
            real = shown.replace("db.example.org", "127.0.0.1")
            yield real.replace("5432", port), password
        finally:
            run("pg_ctl", "-D", "data", "-m", "immediate", "stop")


def after_the_load(home: Path, toml: str, **secret: str) -> str:
    (home / "prefect.toml").write_text(toml)
    with prefect_server(home, **secret) as url:
        return subprocess.run(
            [sys.executable, ROOM / "load.py"],
            env=os.environ | {"PREFECT_API_URL": url},
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def two_processes(home: Path, toml: str) -> str:
    (home / "prefect.toml").write_text(toml)
    refused = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "start", "--workers", "2"],
        cwd=home,
        env=os.environ | {"PREFECT_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    return refused.stdout + refused.stderr


def test_with_sqlite_some_runs_are_refused_and_the_log_is_silent(tmp_path):
    toml = (ROOM / "dont.toml").read_text()
    said = after_the_load(tmp_path, toml)
    assert '{"exception_message":"Service Unavailable"}' in said
    assert said == (ROOM / "dont.txt").read_text()
    assert "locked" not in (tmp_path / "server.log").read_text()


def test_with_postgres_every_run_is_created(tmp_path, postgres):
    toml, password = postgres
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
