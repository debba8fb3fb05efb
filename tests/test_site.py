"""The built site: strict build, blocks, links, addresses, hosts, a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import contract
from tests.book import ROOT, Book

pytestmark = pytest.mark.xdist_group("site")
PAGES = {page.name: page for page in Book(ROOT).pages}


@pytest.mark.parametrize("name", PAGES)
def test_each_built_block_is_a_tested_text(name: str, site: Path) -> None:
    contract.report(contract.built_problems(PAGES[name], site))


def test_viewing_a_page_asks_no_other_host(book: Book, site: Path) -> None:
    for html in site.rglob("*.html"):
        contract.report(
            contract.third_party_problems(html, site, book.config.site_url)
        )


def test_every_published_address_still_works(
    book: Book, site: Path, record: Callable[[Path, str], None]
) -> None:
    file = ROOT / "docs" / "permalinks.txt"
    ledger = file.read_text("utf-8").splitlines() if file.exists() else []
    contract.report(contract.permalink_problems(book, site, ledger))
    now = sorted({*ledger, *contract.permalinks(book, site)})
    record(file, "\n".join(now) + "\n")


def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    lychee = Path(sys.executable).with_name("lychee")
    checked = subprocess.run(
        [
            str(lychee),
            "--offline",
            "--include-fragments",
            "--index-files=index.html",
            "--no-progress",
            f"--root-dir={site}",
            str(site),
        ],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_footer_names_the_installed_prefect(book: Book) -> None:
    footer = f"ran on Prefect {version('prefect')}."
    assert footer in book.config.copyright, (
        f"mkdocs.yml: copyright: must say '{footer}'"
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_a_phone_and_a_laptop(
    name: str, visit: Callable[..., Page]
) -> None:
    for width in (390, 1440):
        view = visit(contract.page_address(PAGES[name]), width)
        wide = view.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} pixels wide at {width}"
    view.evaluate(
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    cut = view.evaluate(
        "[...document.querySelectorAll('article pre code')]"
        ".filter(code => code.scrollWidth > code.clientWidth)"
        ".map(code => code.innerText.slice(0, 60))"
    )
    assert not cut, f"{name}: code needs scrolling at 1440 pixels: {cut}"


def test_the_404_page_offers_the_search(visit: Callable[..., Page]) -> None:
    view = visit("no/such/page/", 1440)
    view.get_by_text("Search the rules").click()
    view.locator(".md-search__input").press_sequentially("retry tasks")
    result = view.locator(".md-search-result__item > a")
    result.filter(has_text="Retry tasks, not flows").first.click()
    assert view.locator("h1").inner_text().startswith("Retry tasks, not flows")


SYMPTOMS = sorted(
    {s for r in Book(ROOT).rules for s in r.front_matter.symptoms}
)


@pytest.fixture(scope="module")
def search(browser: Browser, address: str) -> Iterator[Page]:
    """One page for all searches, because its index takes a second to load."""
    with browser.new_context(
        permissions=["clipboard-read", "clipboard-write"]
    ) as context:
        view = context.new_page()
        view.goto(address)
        yield view


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_searching_a_symptom_finds_its_rule_first(
    symptom: str, book: Book, search: Page
) -> None:
    box = search.locator(".md-search__input")
    results = search.locator(".md-search-result__item > a")
    box.press("Control+A")
    box.press("Delete")
    expect(results).to_have_count(0)
    search.evaluate("text => navigator.clipboard.writeText(text)", symptom)
    box.press("Control+V")
    first = results.first
    found = urlsplit(first.evaluate("link => link.href")).path.lstrip("/")
    assert found in {
        contract.page_address(rule)
        for rule in book.rules
        if symptom in rule.front_matter.symptoms
    }


def test_the_checklist_prints_on_two_pages_at_most(
    visit: Callable[..., Page],
) -> None:
    pdf = visit("checklist/", 1440).pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2


class _Quiet(SimpleHTTPRequestHandler):
    """Serves the built site as a web host would, with its 404 page."""

    def send_error(self, code: int, *args: object, **kwargs: object) -> None:
        body = Path(self.directory, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the built site is served, on loopback."""
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless, kept from asking the network for updates.

    It ends with this module: while it runs, this thread has a running event
    loop, and Prefect's functions would return coroutines to other tests.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, names)]
    path = next(filter(None, found), None)
    with sync_playwright() as playwright:
        if not path and not Path(playwright.chromium.executable_path).exists():
            reason = "no browser: install chromium, or set CHROMIUM to its path"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Open pages of the site in the browser, at a width, in a scheme.

    Afterwards it fails if a page asked another host, or a script raised.
    """
    context = browser.new_context()
    view = context.new_page()
    strangers: list[str] = []
    errors: list[str] = []
    view.on(
        "request",
        lambda r: (
            strangers.append(r.url) if not r.url.startswith(address) else None
        ),
    )
    view.on("pageerror", lambda error: errors.append(str(error)))

    def open_page(path: str, width: int, scheme: str = "light") -> Page:
        view.set_viewport_size({"width": width, "height": 900})
        view.emulate_media(color_scheme=scheme)
        view.goto(address + path)
        return view

    yield open_page
    context.close()
    assert strangers == [], f"asked other hosts: {strangers}"
    assert errors == [], f"its scripts raised: {errors}"
