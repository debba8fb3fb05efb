"""The promise of the built site, as checks like those of tests/contract.py."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from bs4 import NavigableString

from tests.book import Book, Page, blocks_of
from tests.site import web

# What Markdown or an include would have taken away.
UNMADE = re.compile(r"8<--|<!--")
LOADS = (
    ":is(script, img, iframe, source)[src*='//'],"
    " link[href*='//']:not([rel=canonical])"
)


def built_problems(page: Page, site: Path) -> list[str]:
    """Check a built page: its code is tested, and all it loads is our own."""
    problems = []
    soup = web.soup(site / page.address / "index.html")
    article = soup.select_one("article")
    shown = blocks_of(article)
    if shown != page.blocks:
        strange = [b for b in shown if b not in page.blocks] or shown
        problems.append(
            f"{page.name}: the built page shows blocks that are no tested file:"
            f" {strange}"
        )
    problems += [
        f"{page.name}: the built page has code outside of a fence:"
        f" {pre.get_text()[:60]!r}"
        for pre in article.select("pre")
        if not pre.find_parent(class_=re.compile("language-|doc-signature"))
    ]
    if any(
        type(text) is NavigableString and not text.find_parent("code")
        for text in article.find_all(string=UNMADE)
    ):
        problems.append(
            f"{page.name}: the reader sees an include or a comment."
        )
    problems += [
        f"{page.name}: loads {tag.get('src') or tag['href']} from another host."
        " Ship the file in docs/assets instead."
        for tag in soup.select(LOADS)
    ]
    return problems


def permalinks(book: Book, site: Path) -> list[str]:
    """List every address of the built site: pages and their headings."""
    headings = ", ".join(f"article h{level}[id]" for level in range(1, 5))
    return [
        address
        for page in book.pages
        for address in (
            page.address,
            *(
                f"{page.address}#{heading['id']}"
                for heading in web.soup(
                    site / page.address / "index.html"
                ).select(headings)
            ),
        )
    ]


def permalink_problems(site: Path, ledger: list[str]) -> list[str]:
    """Check that each address ever published still leads somewhere."""
    problems = []
    for address in ledger:
        path, _, anchor = address.partition("#")
        html = site / path / "index.html"
        if not html.is_file():
            problems.append(
                f"docs/permalinks.txt: {address}: the page is gone. Give it a"
                " line below redirect_maps in mkdocs.yml; published addresses"
                " keep working."
            )
        elif anchor and anchor not in _anchors(html):
            problems.append(
                f"docs/permalinks.txt: {address}: the anchor is gone. Keep the"
                f" old id in the page, with [](){{ #{anchor} }}."
            )
    return problems


@cache
def _anchors(html: Path) -> set[str]:
    """The ids of a built page, or of the page that it redirects to."""
    soup = web.soup(html)
    refresh = soup.select_one("meta[http-equiv=refresh]")
    if refresh:
        target = str(refresh["content"]).partition("url=")[2]
        return _anchors(html.parent / target / "index.html")
    return {str(tag["id"]) for tag in soup.select("[id]")}
