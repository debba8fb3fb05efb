"""The promise of the built site, as checks like those of tests/contract.py."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from bs4 import NavigableString

from tests.book import BOOK, ROOT, SITE, SOURCE, Book, Page, blocks_of
from tests.programs import tool
from tests.site import web

# What Markdown or an include would have taken away.
UNMADE = re.compile(r"8<--|<!--")
LOADS = (
    ":is(script, img, iframe, source)[src*='//'],"
    " link[href*='//']:not([rel=canonical])"
)


# Where the source of the built site is.
REPOSITORY = "https://example.org/prefect-best-practices"


def _addressed(text: str, page: Page) -> str:
    """A block as the theme shows it: with the addresses of this site."""
    text = text.replace(SITE, page.book.config.site_url)
    return text.replace(SOURCE, REPOSITORY)


def built_problems(page: Page, site: Path) -> Iterator[str]:
    """Check a built page: its code is tested, and all it loads is our own."""
    soup = web.soup(site / page.address / "index.html")
    article = soup.select_one("article")
    shown = blocks_of(article)
    tested = [replace(b, text=_addressed(b.text, page)) for b in page.blocks]
    if shown != tested:
        strange = [b for b in shown if b not in tested] or shown
        yield (
            f"{page.name}: the built page shows blocks that are no tested file:"
            f" {strange}"
        )
    for pre in article.select("pre"):
        if not pre.find_parent(class_=re.compile("language-|doc-signature")):
            yield (
                f"{page.name}: the built page has code outside of a fence:"
                f" {pre.get_text()[:60]!r}"
            )
    for text in article.find_all(string=UNMADE):
        if type(text) is NavigableString and not text.find_parent("code"):
            yield f"{page.name}: the reader sees an include or a comment."
    for tag in soup.select(LOADS):
        yield (
            f"{page.name}: loads {tag.get('src') or tag['href']} from another"
            " host. Ship the file in docs/assets instead."
        )


def permalinks(book: Book, site: Path) -> Iterator[str]:
    """List every address of the built site: pages and their headings.

    What is asked may change its words: those headings are for the search.
    """
    for page in book.pages:
        yield page.address
        soup = web.soup(site / page.address / "index.html")
        for heading in soup.select(
            "article :is(h1, h2, h3, h4)[id]:not(.asked)"
        ):
            yield f"{page.address}#{heading['id']}"


def permalink_problems(site: Path, ledger: list[str]) -> Iterator[str]:
    """Check that each address ever published still leads somewhere."""
    for address in ledger:
        path, _, anchor = address.partition("#")
        html = site / path / "index.html"
        if not html.is_file():
            yield (
                f"docs/permalinks.txt: {address}: the page is gone. Give it a"
                " line below redirect_maps in mkdocs.yml; published addresses"
                " keep working."
            )
        elif anchor and anchor not in _anchors(html):
            yield (
                f"docs/permalinks.txt: {address}: the anchor is gone. Keep the"
                f" old id in the page, with [](){{ #{anchor} }}."
            )


def ledger_problems(root: Path) -> Iterator[str]:
    """Check that the ledger holds each line that it ever held in git."""
    name = "docs/permalinks.txt"
    log = tool("git", "log", "-p", "--format=", "--", name, cwd=root)
    ever = re.findall(r"^\+(?!\+\+ )(.+)$", log.stdout, re.MULTILINE)
    for address in sorted({*ever} - {*(root / name).read_text().splitlines()}):
        yield (
            f"{name}: {address}: was in it. Put the line back: somebody's link"
            " leads there."
        )


@cache
def _anchors(html: Path) -> set[str]:
    """The ids of a built page, or of the page that it redirects to."""
    soup = web.soup(html)
    refresh = soup.select_one("meta[http-equiv=refresh]")
    if refresh:
        target = str(refresh["content"]).partition("url=")[2]
        return _anchors(html.parent / target / "index.html")
    return {str(tag["id"]) for tag in soup.select("[id]")}


if __name__ == "__main__":
    # A site that another generator built from the same files.
    built = Path(sys.argv[1])
    ledger = (ROOT / "docs/permalinks.txt").read_text("utf-8").splitlines()
    lost = [*permalink_problems(built, ledger)]
    if not lost:
        lost = [p for page in BOOK.pages for p in built_problems(page, built)]
    print(*lost, sep="\n", end="\n" * bool(lost))
    print(f"{len(BOOK.pages)} pages, {len(ledger)} addresses, {len(lost)} lost")
    sys.exit(bool(lost))
