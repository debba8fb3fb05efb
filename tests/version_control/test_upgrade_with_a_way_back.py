# The scripts run with the real Prefect 3.8.8 and this one, on one PostgreSQL.
import asyncio
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import prefect
import pytest
from prefect import flow

from tests.backend import (
    free_port,
    needed,
    postgres,
    prefect_server,
    serve,
)
from tests.book import ROOT
from tests.observe import client_of
from tests.programs import python, tool

ROOM = ROOT / "snippets/version_control/upgrade_with_a_way_back"
OLDER_SERVER = "match_client_and_server/older_server.py"
UPGRADE = ("server", "database", "upgrade", "--yes")
DOWNGRADE = ("server", "database", "downgrade", "--yes")
OLDER, NEWER = "3.8.8", prefect.__version__


class Host:
    """A machine with both versions below `opt`, and with a PostgreSQL.

    Attributes:
        home: Where its scripts run.
        before: The revision of the database `prefect`, which is one of the
            older version.
    """

    def __init__(self, home: Path, port: int):
        self.home = home
        self.address = f"://prefect:only-for-this-test@127.0.0.1:{port}"
        older = runpy.run_path(str(ROOM.parent / OLDER_SERVER))
        older_python = older["install"](OLDER, str(home))
        (home / "opt").mkdir()
        for version, program in (OLDER, older_python), (NEWER, sys.executable):
            environment = Path(program).parents[1]
            (home / f"opt/prefect-{version}").symlink_to(environment)
        assert self.older("prefect", *UPGRADE).returncode == 0
        self.before = self.revision("prefect")

    def sql(self, database: str, statement: str) -> object:
        async def ask() -> object:
            url = f"postgresql{self.address}/{database}"
            connection = await asyncpg.connect(url)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def copy(self, name: str) -> str:
        """Copy the database of the older version."""
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE prefect")
        return name

    def revision(self, database: str) -> str:
        return self.sql(database, "SELECT version_num FROM alembic_version")

    def settings(self, database: str) -> dict[str, str]:
        return {
            "DATABASE": f"postgresql{self.address}/{database}",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
                f"postgresql+asyncpg{self.address}/{database}"
            ),
            "PREFECT_HOME": str(self.home / "prefect"),
            "PATH": f"{Path(needed('initdb')).parent}:{os.environ['PATH']}",
        }

    def older(
        self, database: str, *command: str
    ) -> subprocess.CompletedProcess[str]:
        program = self.home / f"opt/prefect-{OLDER}/bin/prefect"
        return self.run(database, program, *command)

    def newer(
        self, database: str, *command: str
    ) -> subprocess.CompletedProcess[str]:
        settings = self.settings(database)
        return python("-m", "prefect", *command, cwd=self.home, **settings)

    def run(
        self, database: str, *command: str | Path
    ) -> subprocess.CompletedProcess[str]:
        env = os.environ | self.settings(database)
        env.pop("PREFECT_API_URL")
        return tool(*command, cwd=self.home, env=env)

    def script(self, name: str) -> list[str]:
        """What starts a script, with the paths of this machine."""
        script = (ROOM / name).read_text().replace("/opt/", f"{self.home}/opt/")
        return ["sh", "-ec", script]


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Iterator[Host]:
    with postgres("only-for-this-test") as port:
        yield Host(tmp_path_factory.mktemp("host"), port)


@pytest.fixture(scope="module")
def back(host) -> Iterator[str]:
    """The server with which do.sh ends: the address of its API."""
    port = str(free_port())
    env = os.environ | host.settings(host.copy("back"))
    env.pop("PREFECT_API_URL")
    env["PREFECT_SERVER_API_PORT"] = port
    url = f"http://127.0.0.1:{port}/api"
    with (
        (host.home / "do.log").open("w") as log,
        serve(
            host.script("do.sh"),
            f"{url}/health",
            cwd=host.home,
            env=env,
            stdout=log,
            stderr=log,
        ),
    ):
        yield url


@flow
def way_back_report() -> None: ...


def test_the_older_server_does_not_start_again(host):
    """A newer server changes the database, and the older version does not know
    the change, so the older server does not start again.

    The database notes in its table `alembic_version` which change was the last,
    and each version of Prefect brings the changes that it knows.

    The commands `upgrade` and `downgrade` of the older version end with the
    same error.
    """
    database = host.copy("dont")
    ended = host.run(database, *host.script("dont.sh"))

    said = (ROOM / "dont.txt").read_text()
    error = f"Can't locate revision identified by '{host.revision(database)}'"
    assert error in said
    lines = f"{ended.stdout}{ended.stderr}".splitlines()
    ends = ("alembic.util.exc.", "ERROR:    App")
    seen = [line for line in lines if line.startswith(ends)]
    assert "\n".join(seen) + "\n" == said
    assert ended.returncode == 3
    for command in UPGRADE, (*DOWNGRADE, "-r", host.before):
        refused = host.older(database, *command)
        assert error in refused.stderr + refused.stdout
        assert refused.returncode == 1


def test_the_newer_version_takes_its_changes_back(host, back):
    """Only the newer version knows how to take its changes back. When it has
    done so, the older server starts.

    An older server that runs while a newer version upgrades its database goes
    on to work. So you notice nothing until it starts again.
    """
    assert httpx.get(f"{back}/admin/version").json() == OLDER
    assert host.revision("back") == host.before
    port = back.removeprefix("http://127.0.0.1:").removesuffix("/api")
    said = (host.home / "do.log").read_text().replace(port, "4200")
    assert said.count("Migrations succeeded!") == 2
    (at,) = re.findall("^Check out .*\n", said, re.MULTILINE)
    assert at == (ROOM / "do.txt").read_text()

    assert host.newer("back", *UPGRADE).returncode == 0
    assert host.revision("back") != host.before
    with client_of(back):
        way_back_report()
    assert httpx.post(f"{back}/flow_runs/count").json() == 1


def test_a_restored_copy_is_what_it_was_before(host, back):
    """If that fails, restore the copy into an empty database, with
    `pg_restore --dbname`. You lose all runs that began after the copy.
    """
    host.sql("postgres", "CREATE DATABASE restored")
    url = host.settings("restored")["DATABASE"]
    dump = host.home / "before.dump"
    restored = host.run("restored", "pg_restore", f"--dbname={url}", dump)
    assert restored.returncode == 0, restored.stderr
    assert host.revision("restored") == host.before
    assert host.sql("restored", "SELECT count(*) FROM flow_run") == 0


def test_a_newer_server_upgrades_when_it_starts(host, tmp_path):
    """`prefect server start` makes them before it answers.

    Without `-r` the command takes back one change only, and an upgrade may
    have made several: from 3.8.8 to 3.9.1 there are two.

    The runs of the two days stay. A table that only the newer version has is
    dropped, with all that is in it.
    """
    database = host.copy("between")
    settings = host.settings(database)
    with prefect_server(tmp_path, **settings) as url, client_of(url):
        way_back_report()
    newer = host.revision(database)
    has_table = "SELECT to_regclass('automation_held_event') IS NOT NULL"
    assert newer != host.before
    assert host.sql(database, has_table)

    assert host.newer(database, *DOWNGRADE).returncode == 0
    assert host.revision(database) not in (newer, host.before)
    assert host.newer(database, *DOWNGRADE).returncode == 0
    assert host.revision(database) == host.before
    assert host.sql(database, "SELECT count(*) FROM flow_run") == 1
    assert not host.sql(database, has_table)
