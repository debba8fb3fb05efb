"""The built site as a reader gets it: build, server, browser, weight."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin

from bs4 import BeautifulSoup, SoupStrainer
from playwright.sync_api import Browser, sync_playwright

from tests.programs import tool

# A page of each kind, by its address.
KINDS = {
    "home": "",
    "chapter": "resilience/",
    "rule": "version-control/version-your-deployments/",  # the heaviest
    "list": "symptoms/",
    "reference": "reference/",
}


class NoBrowserError(Exception):
    """There is no Chromium; the message says what to do."""


def build(
    root: Path, folder: Path, publish: str = "false", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Build a site strictly.

    Args:
        root: The folder that holds `mkdocs.yml`.
        folder: Where the site shall be.
        publish: "true" builds all of it. "false" leaves out what takes most of
            the time, for builds that are about something else.
        **settings: Further settings, by the names of environment variables.

    Returns:
        The ended process, with what it printed as text.
    """
    if publish == "false":
        settings["PREVIEW"] = "overrides/preview.md"
    return tool(
        *(sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder),
        cwd=root,
        env=os.environ | {"PUBLISH": publish} | settings,
    )


@cache
def soup(html: Path) -> BeautifulSoup:
    """A built page, parsed once: do not change it."""
    return BeautifulSoup(html.read_text("utf-8"), "html.parser")


class _Host(SimpleHTTPRequestHandler):
    """Serves as a web host would: compressed, kept open, with the 404 page.

    A browser may keep what it got, so that the next page asks only for itself.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_dir():
            file /= "index.html"
        found = file.is_file()
        if not found:
            file = Path(self.directory, "404.html")
        body = file.read_bytes()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", self.guess_type(file))
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Cache-Control", "max-age=600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a built site on loopback.

    Yields:
        Its address, with a slash at the end.
    """
    host = partial(_Host, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), host) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def executable() -> str | None:
    """The Chromium of this machine, if it has one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, names)]
    return next(filter(None, found), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium, headless, kept from asking the network for updates.

    Raises:
        NoBrowserError: If neither the machine nor Playwright has one.
    """
    path = executable()
    with sync_playwright() as playwright:
        if not path and not Path(playwright.chromium.executable_path).exists():
            raise NoBrowserError(
                "no browser: install chromium, or set CHROMIUM to its path"
            )
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@cache
def _compressed(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), mtime=0))


def parts(html: Path, site: Path) -> dict[str, int]:
    """Weigh a built page: what a browser loads with it, before any act.

    Material's script is among it, which loads with the first act; a picture
    that loads when it comes into view is not.

    Returns:
        The bytes of each part, compressed with gzip, by its path.
    """
    page = "/" + html.relative_to(site).as_posix().removesuffix("index.html")
    tags = BeautifulSoup(
        html.read_text("utf-8"),
        "html.parser",
        parse_only=SoupStrainer(["link", "script", "img"]),
    ).select(
        "link:is([rel=stylesheet], [rel=icon]), script[src],"
        " img:not([loading=lazy])"
    )
    paths = {urljoin(page, tag.get("href") or tag["src"]) for tag in tags}
    files = {path: site / path.lstrip("/") for path in paths} | {page: html}
    return {path: _compressed(file) for path, file in files.items()}
