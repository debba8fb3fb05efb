"""What every test has: one Prefect server, own storage, and the recorder."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests import backend, contract, recorded, selection
from tests.book import BOOK, ROOT, copied

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

os.environ.update(backend.ENVIRONMENT)
# README's commands find the tools of the environment that runs pytest.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
# The projects of test_cases.py have tests of their own.
collect_ignore_glob = ["cases/*"]
until_the_end = ExitStack()
SERVER: list[Thread] = []
CHAPTERS = {rule.test.parent for rule in BOOK.rules}
# Tests about the book itself. All others are about Prefect.
WITHOUT_PREFECT = (
    "tests/site/",
    "tests/test_guards.py",
    "tests/test_pages.py",
    "tests/test_setup.py",
    "tests/test_skill.py",
    "tests/test_enforce.py",
)
DEPRECATIONS = (
    "error::prefect._internal.compatibility.deprecated"
    ".PrefectDeprecationWarning"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    option = partial(parser.getgroup("the book").addoption, default=None)
    switch = partial(option, action="store_true")
    switch("--record", help="rewrite what is recorded, and say what changed")
    switch("--changed", help="prove the rules that differ from the main branch")
    option("--rule", action="append", metavar="SLUG", help="prove this rule")
    option("--api-url", help="use this Prefect server, and start none")


def pytest_configure(config: pytest.Config) -> None:
    """Narrow the run to the rules that were asked for, if any were."""
    config.pluginmanager.register(ForEachItem())
    names = config.option.rule
    if config.option.changed and not names:
        names = selection.changed_rules(BOOK)
    config.rules = None if names is None else selection.called(names, BOOK)
    if config.rules is not None:
        config.option.keyword = selection.keywords(config.rules, BOOK)


def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> bool | None:
    """Pass over the files in which nothing is about the rules asked for."""
    if config.rules is None or collection_path.is_dir():
        return None
    return not selection.concerns(collection_path, config.rules) or None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Give the run a folder, and Prefect an address that workers inherit.

    The address is known before there is a server, because programs run in
    other processes and README's blocks are items that take no fixtures.
    """
    if hasattr(session.config, "workerinput"):
        return
    os.environ["PREFECT_API_URL"] = url = (
        session.config.getoption("--api-url")
        or f"http://127.0.0.1:{backend.free_port()}/api"
    )
    if not session.config.option.collectonly:
        run = until_the_end.enter_context(tempfile.TemporaryDirectory())
        os.environ["RUN_FOLDER"] = run
        os.environ["PREFECT_HOME"] = f"{run}/client"
        if session.config.getoption("--api-url"):
            server_said().write_text(url)


def server_said() -> Path:
    """Where the process with the server says that it is up, or why not."""
    return Path(os.environ["RUN_FOLDER"], "server")


def needs_server(test: str) -> bool:
    """Whether a test, by its id, is about Prefect and not about the book."""
    return not test.startswith(WITHOUT_PREFECT)


def start_server() -> None:
    """Start the server that all tests share, if nothing has started it."""
    if server_said().exists() or SERVER:
        return
    port = urlsplit(os.environ["PREFECT_API_URL"]).port
    home = Path(os.environ["RUN_FOLDER"], "shared")

    def start() -> None:
        said = server_said().with_suffix(".new")
        try:
            url = until_the_end.enter_context(backend.shared_server(home, port))
            said.write_text(url)
        except Exception as error:
            said.write_text(f"The server did not start: {error!r}")
        said.replace(server_said())

    SERVER.append(Thread(target=start))
    SERVER[0].start()


def pytest_collection_finish(session: pytest.Session) -> None:
    if (
        not hasattr(session.config, "workerinput")
        and not session.config.option.collectonly
        and any(needs_server(item.nodeid) for item in session.items)
    ):
        start_server()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    if any(map(needs_server, ids)):
        start_server()


class ForEachItem:
    """Hooks that pytest calls for README's blocks too.

    Those of this file it calls only for what stands in this folder.
    """

    @staticmethod
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(item: pytest.Item) -> None:
        """Wait for the server, but only where a test needs it."""
        if not needs_server(item.nodeid):
            return
        while not server_said().exists():
            time.sleep(0.1)
        if server_said().read_text() != os.environ["PREFECT_API_URL"]:
            pytest.exit(server_said().read_text(), returncode=1)

    @staticmethod
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(call: pytest.CallInfo) -> Iterator[None]:
        """Let nothing be skipped, or fail as expected, where CI proves all."""
        report = yield
        if os.environ.get("CI") and report.skipped:
            why = getattr(report, "wasxfail", "") or report.longrepr[-1]
            report.outcome = "failed"
            report.longrepr = f"{why}: install what is missing, or mend it."
        # All that pytest-codeblocks says of a command is its exit code, and
        # xdist stumbles over a number.
        if isinstance(report.longrepr, int):
            report.longrepr = call.excinfo.value.stderr.decode()
        return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    items: list[pytest.Item], config: pytest.Config
) -> None:
    """Put groups before single tests, which fill what is left of the time.

    With `--record`, write first what the checks read, and tables before.
    """
    items.sort(key=lambda item: not item.get_closest_marker("xdist_group"))

    def last(item: pytest.Item) -> tuple[bool, bool]:
        fixtures = getattr(item, "fixturenames", ())  # README's blocks: none
        return "table" not in fixtures, "record" not in fixtures

    if config.option.record:
        items.sort(key=last)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let xdist run what belongs to one rule one after the other.

    A rule's tests and programs use the same names on the shared server
    (deployments, limits, variables); those of two rules do not.
    """
    if item.path.parent in CHAPTERS:
        rule = item.path.stem.removeprefix("test_")
        item.add_marker(pytest.mark.xdist_group(rule))
        # What the site shows must not be what the next Prefect refuses.
        item.add_marker(pytest.mark.filterwarnings(DEPRECATIONS))


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
    if "prefect.main" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all()
        EventsWorker.drain_all()
    for thread in SERVER:
        thread.join()
    until_the_end.close()


@pytest.fixture(autouse=True)
def isolated_storage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give each test its own result storage, and switch off heartbeats.

    The server keeps no results, so two tests that share a storage share cached
    results. A heartbeat costs each flow run a second at its end. The two
    thousand tests about the book run no flow, so they need neither.
    """
    if not needs_server(request.node.nodeid):
        yield
        return

    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOCAL_STORAGE_PATH,
        temporary_settings,
    )

    with temporary_settings(
        {
            PREFECT_LOCAL_STORAGE_PATH: (
                request.getfixturevalue("tmp_path") / "storage"
            ),
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
    ):
        yield


@pytest.fixture(autouse=True)
def forgotten_modules(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Forget what a test has imported from a temporary folder of its own.

    The next test on this worker may write a module of the same name.
    """
    before = {*sys.modules}
    yield
    home = str(tmp_path_factory.getbasetemp())
    for name in {*sys.modules} - before:
        if (getattr(sys.modules[name], "__file__", "") or "").startswith(home):
            del sys.modules[name]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository to spoil."""
    return copied(tmp_path)


@pytest.fixture
def record(
    request: pytest.FixtureRequest,
) -> Callable[[Path, str | bytes], None]:
    """Compare a committed file with what it must hold, or rewrite it.

    Returns:
        A function of a file and what it holds. Without `--record` it fails with
        a diff and the command that mends; with it, it writes and says so.
    """
    recording = request.config.getoption("--record")

    def compare(file: Path, made: str | bytes) -> None:
        for problem in contract.recorded_problems(file, made, ROOT):
            if not recording:
                contract.report([problem])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contract.as_bytes(made))
            request.node.user_properties.append(("recorded", problem))

    return compare


@pytest.fixture
def table(
    request: pytest.FixtureRequest, record: Callable[[Path, str], None]
) -> Callable[[str, list[str], list[list[str]]], None]:
    """Record a table of what a test saw, for the page of its rule.

    Returns:
        A function of the table's file in the rule's room, its head, and its
        rows as cells of Markdown.
    """

    def compare(name: str, head: list[str], rows: list[list[str]]) -> None:
        record(room_of(request) / name, recorded.as_table(head, rows))

    return compare


def room_of(request: pytest.FixtureRequest) -> Path:
    """The programs of the rule that the requesting test file proves."""
    (room,) = (r.room for r in BOOK.rules if r.test == request.path)
    return room


def load_program(request: pytest.FixtureRequest, name: str) -> ModuleType:
    """Import a program of the rule that the requesting test file proves.

    Each call runs the module anew, so that its global state is as a reader
    finds it. It and what it imports from its folder stay importable by their
    names until the test ends: process pools need that. Then they make place
    for files of the same names in the folders of other rules.
    """
    room = room_of(request)

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
