"""What every test has: one Prefect server, own storage, and the recorder."""

from __future__ import annotations

import importlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests import backend, contract
from tests.book import ROOT, Book

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

os.environ.update(backend.ENVIRONMENT)
# README's commands find the tools of the environment that runs pytest.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
until_the_end = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record",
        action="store_true",
        help="rewrite recorded outputs, lists and proofs, and say what changed",
    )
    parser.addoption(
        "--api-url",
        help="use this Prefect server and start none, to save its start",
    )


@contextmanager
def shared_server(home: Path) -> Iterator[str]:
    """Start the suite's server, on PostgreSQL where the machine has it.

    On SQLite parallel tests wait for each other, and take longer.
    """
    settings = {}
    with ExitStack() as stack:
        if backend.INITDB:
            password = secrets.token_hex()
            port = stack.enter_context(backend.postgres(password))
            settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = (
                "postgresql+asyncpg://"
                f"prefect:{password}@127.0.0.1:{port}/prefect"
            )
        yield stack.enter_context(
            backend.prefect_server(
                home / "server", collect_garbage=False, **settings
            )
        )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the server once; xdist's workers inherit its address.

    It starts here and not in a fixture because README's blocks are items
    that take no fixtures, and because programs run in other processes.
    """
    if (
        hasattr(session.config, "workerinput")
        or session.config.option.collectonly
    ):
        return
    home = Path(until_the_end.enter_context(tempfile.TemporaryDirectory()))
    os.environ["PREFECT_HOME"] = str(home / "client")
    os.environ["PREFECT_API_URL"] = session.config.getoption(
        "--api-url"
    ) or until_the_end.enter_context(shared_server(home))
    # pytest's filter of Prefect's warnings has imported Prefect already, and
    # with it the settings that threads without a context of their own see.
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let xdist run what belongs to one rule one after the other.

    A rule's tests and programs use the same names on the shared server
    (deployments, limits, variables); those of two rules do not.
    """
    if (
        item.path.parent.parent == ROOT / "tests"
        and item.path.parent.name != "site"
    ):
        rule = item.path.stem.removeprefix("test_")
        item.add_marker(pytest.mark.xdist_group(rule))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    """Say what `--record` changed, also when xdist's workers did it."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for kind, change in getattr(report, "user_properties", []):
                if kind == "recorded" and report.when == "call":
                    terminalreporter.section("recorded")
                    terminalreporter.line(change)


def pytest_unconfigure() -> None:
    """Let Prefect send its last logs and events before the server stops."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.instance().drain()
    EventsWorker.drain_all()
    until_the_end.close()


@pytest.fixture(autouse=True)
def isolated_storage(tmp_path: Path) -> Iterator[None]:
    """Give each test its own result storage, and switch off heartbeats.

    The server keeps no results, so two tests that share a storage share cached
    results. A heartbeat costs each flow run a second at its end.
    """
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    with temporary_settings(
        {
            PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage",
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
    ):
        yield


@pytest.fixture(scope="session")
def book() -> Book:
    return Book(ROOT)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a committed file with what it must hold, or rewrite it.

    Returns:
        A function of a file and its text. Without `--record` it fails with a
        diff and the command that mends; with it, it writes and says so.
    """
    recording = request.config.getoption("--record")

    def compare(file: Path, text: str) -> None:
        problems = contract.recorded_problems(file, text, ROOT)
        if problems and recording:
            file.write_text(text, "utf-8")
            request.node.user_properties.append(("recorded", problems[0]))
        else:
            contract.report(problems)

    return compare


def load_program(request: pytest.FixtureRequest, name: str) -> ModuleType:
    """Import a program of the rule that the requesting test file proves.

    Each call runs the module anew, so that its global state is as a reader
    finds it. It and what it imports from its folder stay importable by their
    names until the test ends: process pools need that. Then they make place
    for files of the same names in the folders of other rules.
    """
    chapter, test = request.path.parent.name, request.path.stem
    room = ROOT / "snippets" / chapter / test.removeprefix("test_")

    def forget() -> None:
        for file in room.glob("*.py"):
            sys.modules.pop(file.stem, None)

    request.addfinalizer(forget)
    request.getfixturevalue("monkeypatch").syspath_prepend(room)
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.fixture
def dont(request: pytest.FixtureRequest) -> ModuleType:
    """The program that does the wrong thing, freshly imported."""
    return load_program(request, "dont")


@pytest.fixture
def do(request: pytest.FixtureRequest) -> ModuleType:
    """The program that does it right, freshly imported."""
    return load_program(request, "do")


@pytest.fixture
def api() -> Iterator[SyncPrefectClient]:
    """A client of the server that the whole suite shares."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client
