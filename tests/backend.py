"""Servers: the Prefect that all tests share, and those of a single test."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import (
    ExitStack,
    closing,
    contextmanager,
    suppress,
)
from functools import partial
from pathlib import Path

import httpx
import pytest

# A machine that does many things at once needs more time than one that does
# not. A wait ends when what it waits for happens, so patience costs little.
PATIENCE = float(os.environ.get("PATIENCE", "3"))

# Debian and Ubuntu keep the programs of PostgreSQL off the PATH, and nginx off
# the PATH of people who are not root.
PLACES = [
    *map(str, Path("/usr/lib/postgresql").glob("*/bin")),
    *("/usr/sbin", os.environ["PATH"]),
]
INITDB = shutil.which("initdb", path=os.pathsep.join(PLACES))
# What some rules need of other projects, and the package that has it.
PACKAGES = {
    "initdb": "postgresql",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
}

# Set before Prefect is first imported. Nothing leaves the machine.
ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_COLORS": "false",
    "NO_COLOR": "1",
    "NO_MKDOCS_2_WARNING": "1",
    # A server registers the types of blocks in the background after its start.
    # If a test saves a block meanwhile, the server refuses it now and then.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
}

# A server keeps the leases of limits in files below its home, and looks often
# for those that have ended.
LEASES_IN_FILES = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
}

# `-m prefect`, as Python runs it, without the garbage collector.
WITHOUT_GC = [
    "-c",
    "import gc, runpy; gc.disable();"
    " runpy.run_module('prefect', run_name='__main__')",
]


def patient(seconds: float) -> float:
    """How long to wait here for what takes that long on a quiet machine."""
    return seconds * PATIENCE


def free_port() -> int:
    """A TCP port on loopback that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def needed(name: str) -> str:
    """Find a program of `PACKAGES`, or skip the test that needs it."""
    if found := shutil.which(name, path=os.pathsep.join(PLACES)):
        return found
    pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")


@contextmanager
def running(
    command: list[str | Path], is_up: Callable[[], bool], **popen: object
) -> Iterator[subprocess.Popen]:
    """Run a server until its block ends.

    Args:
        command: What starts it.
        is_up: Whether it answers.
        **popen: Passed on to `subprocess.Popen`.

    Yields:
        Its process, for tests that kill it.

    Raises:
        RuntimeError: If it ends, or does not answer in time.
    """
    process = subprocess.Popen(command, **popen)
    try:
        deadline = time.monotonic() + patient(60)
        while not is_up():
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command}: no answer")
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patient(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serve(
    command: list[str], health_url: str, **popen: object
) -> Iterator[subprocess.Popen]:
    """Run a server, see `running`, that is up when an address answers 200."""
    # One client for all questions: to make one takes longer than to ask.
    with httpx.Client(timeout=5) as client:

        def is_up() -> bool:
            try:
                return client.get(health_url).status_code == 200
            except httpx.TransportError:
                return False

        with running(command, is_up, **popen) as process:
            yield process


def listens(port: int) -> bool:
    """Whether something listens on a TCP port of loopback."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def redis() -> Iterator[int]:
    """Run an empty Redis, which forgets everything when it ends.

    Yields:
        Its port on loopback.
    """
    port = free_port()
    command = [needed("redis-server"), "--port", str(port)]
    command += ["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    quiet = {"stdout": subprocess.DEVNULL}
    with (
        tempfile.TemporaryDirectory() as home,
        running(command, partial(listens, port), cwd=home, **quiet),
    ):
        yield port


@contextmanager
def nginx(home: Path, site: str, port: int) -> Iterator[None]:
    """Run nginx as a proxy.

    Args:
        home: A folder for what it writes; `error.log` is in it.
        site: What people write below `conf.d`: its `server` blocks.
        port: A TCP port of loopback that these listen on.
    """
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    own = "".join(f"{kind}_temp_path {kind}; " for kind in kinds)
    (home / "nginx.conf").write_text(
        f"daemon off; pid nginx.pid; {user} events {{}}\n"
        f"http {{ access_log access.log; {own}\n{site}\n}}\n"
    )
    command = [needed("nginx"), "-p", home, "-c", home / "nginx.conf"]
    command += ["-e", home / "error.log"]
    with running(command, partial(listens, port)):
        yield


@contextmanager
def postgres(password: str) -> Iterator[int]:
    """Run a PostgreSQL with an empty database `prefect` of a user `prefect`.

    Args:
        password: The user's.

    Yields:
        Its port on loopback.
    """
    initdb = needed("initdb")
    # PostgreSQL refuses to run as root, which CI often is.
    root = os.geteuid() == 0
    who = {"user": "postgres", "group": "postgres", "extra_groups": []}

    def run(name: str, *arguments: str) -> None:
        subprocess.run(
            [Path(initdb).with_name(name), *arguments],
            cwd=home,
            env=os.environ | {"PGPASSWORD": password},
            check=True,
            stdout=subprocess.DEVNULL,
            **(who if root else {}),
        )

    port = str(free_port())
    access = ["--auth=scram-sha-256", "--pwfile=password"]
    with tempfile.TemporaryDirectory() as home:
        Path(home, "password").write_text(password)
        if root:
            shutil.chown(home, "postgres")
            shutil.chown(Path(home, "password"), "postgres")
        run("initdb", "--pgdata=data", "--username=prefect", "-N", *access)
        # -F: what is thrown away in the end need not reach the disk.
        listen = f"-F -p {port} -h 127.0.0.1 -k {home}"
        run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", listen, "start")
        try:
            run("createdb", "-h", home, "-p", port, "-U", "prefect", "prefect")
            yield int(port)
        finally:
            run("pg_ctl", "-D", "data", "-m", "immediate", "stop")


def begin_migrated(home: Path) -> None:
    """Let a server in `home` begin with a copy of a migrated database.

    An empty one takes it 7 seconds of processor time to migrate.
    """
    migrated = Path(os.environ.get("RUN_FOLDER", home), "migrated.db")
    if migrated.exists() and not (home / "prefect.db").exists():
        shutil.copy(migrated, home / "prefect.db")


def keep_migrated(home: Path) -> None:
    """Keep the database of a new server for the later ones of this run."""
    migrated = Path(os.environ.get("RUN_FOLDER", home), "migrated.db")
    database = home / "prefect.db"
    wanted = "RUN_FOLDER" in os.environ and not migrated.exists()
    if wanted and database.exists():
        new = migrated.with_suffix(f".{os.getpid()}")
        with (
            closing(sqlite3.connect(database)) as source,
            closing(sqlite3.connect(new)) as copy,
        ):
            source.backup(copy)
        new.replace(migrated)


@contextmanager
def prefect_server(
    home: Path,
    port: int | None = None,
    collect_garbage: bool = True,
    **settings: str,
) -> Iterator[str]:
    """Start a real Prefect server on loopback with a new SQLite database.

    Args:
        home: Its `PREFECT_HOME` and working directory. A `prefect.toml` in it
            is read; the log is `server.log` in it.
        port: The TCP port; without it a free one.
        collect_garbage: False for a server that many use at once. Python's
            garbage collector resets cursors of SQLite in the thread of the
            event loop. When a cursor's connection waits for SQLite's lock at
            that moment, the loop waits for it, and the lock's holder waits for
            the loop: the server stands still for a minute.
        **settings: Further settings, by the names of environment variables.

    Yields:
        The address of its API, for `PREFECT_API_URL`.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = os.environ | ENVIRONMENT | {"PREFECT_HOME": str(home)}
    environment.pop("PREFECT_API_URL", None)
    toml = home / "prefect.toml"
    told = [*settings.values(), toml.read_text() if toml.exists() else ""]
    if not any("postgresql" in text for text in told):
        begin_migrated(home)
    with (
        (home / "server.log").open("w") as log,
        serve(
            [
                sys.executable,
                *(["-m", "prefect"] if collect_garbage else WITHOUT_GC),
                *("server", "start", "--port", str(port)),
            ],
            f"{url}/health",
            cwd=home,
            env=environment | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        ),
    ):
        keep_migrated(home)
        yield url


def end_leases(home: Path) -> None:
    """Let the time of the leases go by that a server in `home` has in files.

    The server looks for a lease when its index says that it has ended: so the
    index comes last. It deletes a lease of which it reads only half: so each
    file is replaced as a whole.
    """
    leases = home / "concurrency_leases"
    for file in *leases.glob("*-*.json"), leases / "expirations.json":
        aged = home / "aged.json"
        aged.write_text(re.sub(r'"20(?=\d\d-)', '"19', file.read_text()))
        aged.replace(file)


@contextmanager
def shared_server(home: Path, port: int) -> Iterator[str]:
    """Start a server for many tests, on PostgreSQL where the machine has it.

    On SQLite parallel tests wait for each other, and take longer.

    Args:
        home: Its `PREFECT_HOME`.
        port: The TCP port.

    Yields:
        The address of its API.
    """
    settings = {}
    with ExitStack() as stack:
        if INITDB:
            password = secrets.token_hex()
            database = stack.enter_context(postgres(password))
            settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = (
                "postgresql+asyncpg://"
                f"prefect:{password}@127.0.0.1:{database}/prefect"
            )
        yield stack.enter_context(
            prefect_server(home, port, collect_garbage=False, **settings)
        )


if __name__ == "__main__":
    # Without this, `kill` would leave the server and its database behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory() as folder,
        shared_server(Path(folder), free_port()) as api_url,
        suppress(KeyboardInterrupt),
    ):
        print(f"make rule NAME=retry-tasks-not-flows SERVER={api_url}")
        print("Ctrl+C ends this server.", flush=True)
        signal.pause()
