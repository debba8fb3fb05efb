"""What the tests of the built site have: the site, its address, a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.book import ROOT
from tests.site import web


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as it is published: strict, without one warning."""
    folder = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            f"--site-dir={folder}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0 and "WARNING" not in build.stderr, build.stderr
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
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open pages of the site in the browser, at a width, in a scheme.

    Afterwards it fails if a page asked another host, if a script raised, or if
    the Content-Security-Policy refused something.
    """
    context = browser.new_context()
    view = context.new_page()
    faults: list[str] = []
    view.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(address)
            else faults.append(f"asked another host: {request.url}")
        ),
    )
    view.on("pageerror", lambda error: faults.append(f"raised: {error}"))
    view.on(
        "console",
        lambda message: (
            faults.append(message.text)
            if "Content Security Policy" in message.text
            else None
        ),
    )

    def open_page(path: str, width: int, scheme: str = "light") -> Page:
        view.set_viewport_size({"width": width, "height": 900})
        view.emulate_media(color_scheme=scheme)
        view.goto(address + path)
        return view

    yield open_page
    context.close()
    assert faults == []
