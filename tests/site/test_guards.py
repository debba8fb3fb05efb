"""The guards of the built site are guarded, as tests/test_guards.py says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import backend, contract
from tests.book import ROOT, Book, Rule
from tests.observe import settles
from tests.site import web
from tests.test_guards import PAGE, ROOM, replace

pytestmark = pytest.mark.xdist_group("faults of the site")


def test_a_dead_link_anchor_or_image_stops_the_build(copy: Path) -> None:
    links = "[a](gone.md) [b](index.md#gone) ![c](gone.png)"
    replace(copy / PAGE, "The two programs differ", f"{links} The two differ")
    replace(
        copy / "docs/resilience/index.md",
        "# Resilience",
        "[d][prefect.gone]\n\n#",
    )
    build = web.build(copy, copy / "site")
    assert build.returncode != 0
    for lost in ("gone.md", "#gone", "gone.png", "prefect.gone"):
        (line,) = (w for w in build.stderr.splitlines() if f"{lost}'" in w)
        assert "WARNING" in line and "resilience/" in line


def test_a_missing_snippet_stops_the_build(copy: Path) -> None:
    (copy / ROOM / "dont.py").unlink()
    build = web.build(copy, copy / "site")
    assert build.returncode != 0
    assert f"{ROOM}/dont.py" in build.stderr and PAGE[5:] in build.stderr


@pytest.fixture
def spoil(
    site: Path, copy: Path
) -> Callable[[Callable[[str], str]], tuple[Rule, Path]]:
    """Change the built page of the rule, in a copy of the built site."""

    def change(edit: Callable[[str], str]) -> tuple[Rule, Path]:
        spoilt = copy / "site"
        shutil.copytree(site, spoilt)
        rule = Rule(Book(ROOT), PAGE.removeprefix("docs/"))
        html = spoilt / rule.address / "index.html"
        before = html.read_text("utf-8")
        html.write_text(edit(before), "utf-8")
        assert html.read_text("utf-8") != before
        return rule, spoilt

    return change


class TestTheBuiltSite:
    def test_a_changed_block_is_found(self, spoil):
        rule, spoilt = spoil(lambda html: html.replace("Charges", "Fees", 1))
        assert "no tested file" in contract.built_problems(rule, spoilt)[0]

    def test_code_outside_of_a_fence_is_found(self, spoil):
        rule, spoilt = spoil(
            lambda html: html.replace("</article>", "<pre>x</pre></article>")
        )
        found = contract.built_problems(rule, spoilt)
        assert f"{PAGE}: the built page has code outside" in found[0]

    def test_an_external_script_is_found(self, spoil):
        rule, spoilt = spoil(
            lambda html: html.replace(
                "</body>", '<script src="//example.org/x.js"></script></body>'
            )
        )
        html = spoilt / rule.address / "index.html"
        (found,) = contract.third_party_problems(
            html, spoilt, "http://127.0.0.1/"
        )
        assert (
            "retry-tasks-not-flows/index.html: loads //example.org/x.js"
            in found
        )

    def test_a_renamed_heading_id_is_found(self, spoil):
        rule, spoilt = spoil(
            lambda html: html.replace('id="symptom"', 'id="signs"')
        )
        address = f"{rule.address}#symptom"
        (found,) = contract.permalink_problems(Book(ROOT), spoilt, [address])
        assert f"docs/permalinks.txt: {address}: the anchor is gone" in found

    def test_a_lost_page_is_found(self, spoil):
        rule, spoilt = spoil(lambda html: html + " ")
        address = rule.address
        shutil.rmtree(spoilt / address)
        (found,) = contract.permalink_problems(Book(ROOT), spoilt, [address])
        assert f"docs/permalinks.txt: {address}: the page is gone" in found


def test_serve_reloads_when_a_program_changes(copy: Path) -> None:
    output = copy / ROOM / "dont.out"
    for page in (copy / "docs").rglob("*.md"):
        if page != copy / PAGE:
            page.unlink()
    port = backend.free_port()
    page = f"http://127.0.0.1:{port}/resilience/retry-tasks-not-flows/"
    mkdocs = [sys.executable, "-m", "mkdocs"]
    with backend.serve(
        [*mkdocs, "serve", "--dev-addr", f"127.0.0.1:{port}"],
        page,
        cwd=copy,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ
        | {"SITE_URL": f"http://127.0.0.1:{port}/", "PUBLISH": "false"},
    ):
        output.write_text("Charges for order-7: 99\n")
        settles(
            lambda: "order-7: 99" in httpx.get(page, timeout=60).text,
            True,
            seconds=60,
        )
