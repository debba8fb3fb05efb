"""What the tests of the built site have: the site, its address, a browser."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from tests import contract
from tests.book import ROOT
from tests.site import checks, web


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site as it is published, without one warning.

    The first worker that needs it builds it, for all workers of the run.
    """
    home = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        home = home.parent
    folder, fault = home / "site", home / "site.fault"
    with (home / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not fault.exists():
            source = {
                "REPO_URL": checks.REPOSITORY,
                "EDIT_URI": "edit/main/docs/",
            }
            build = web.build(ROOT, folder, publish="true", **source)
            sound = build.returncode == 0 and "WARNING" not in build.stderr
            fault.write_text("" if sound else f"no site: {build.stderr}")
    contract.report(fault.read_text().splitlines())
    return folder


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the built site is served, on loopback."""
    with web.served(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium.

    It ends with the module: while it runs, this thread has a running event
    loop, and Prefect's functions would return coroutines to other tests.
    """
    try:
        with web.chromium() as browser:
            yield browser
    except web.NoBrowserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def window(browser: Browser, address: str) -> Iterator[tuple[Page, list[str]]]:
    """One window, because a new one costs more than a visit, and its faults.

    A fault: a page asked another host, a script raised, or the
    Content-Security-Policy refused something.
    """
    faults: list[str] = []
    with browser.new_context() as context:
        view = context.new_page()

        def see_request(request: Request) -> None:
            if not request.url.startswith(address):
                faults.append(f"asked another host: {request.url}")

        def see_message(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text:
                faults.append(message.text)

        view.on("request", see_request)
        view.on("console", see_message)
        view.on("pageerror", lambda error: faults.append(f"raised: {error}"))
        yield view, faults
    assert faults == []


@pytest.fixture
def visit(
    window: tuple[Page, list[str]], address: str
) -> Iterator[Callable[..., Page]]:
    """Open pages of the site at a width, as someone who was never here.

    Afterwards it fails if the window has seen a fault.
    """
    view, faults = window

    def open_page(path: str, width: int, scheme: str = "light") -> Page:
        view.set_viewport_size({"width": width, "height": 900})
        view.emulate_media(color_scheme=scheme, reduced_motion="no-preference")
        view.goto(address + path)
        return view

    yield open_page
    view.goto(f"{address}assets/mark.svg")  # nothing there writes any more
    view.evaluate("localStorage.clear(), sessionStorage.clear()")
    view.context.clear_permissions()
    view.unroute_all()
    seen = faults.copy()
    faults.clear()
    assert seen == []
