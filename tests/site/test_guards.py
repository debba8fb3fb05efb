"""The guards of the built site are guarded, as tests/test_guards.py says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import backend
from tests.book import BOOK, Rule
from tests.programs import tool
from tests.site import checks, web
from tests.test_guards import PAGE, ROOM, replace

RULE = Rule(BOOK, PAGE.removeprefix("docs/"))
pytestmark = pytest.mark.xdist_group("faults of the site")


def test_a_dead_link_anchor_or_image_stops_the_build(copy):
    links = "[a](gone.md) [b](index.md#gone) ![c](gone.png)"
    replace(copy / PAGE, "Think before you", f"{links} Think before you")
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


def test_a_missing_snippet_stops_the_build(copy):
    (copy / ROOM / "dont.py").unlink()
    build = web.build(copy, copy / "site")
    assert build.returncode != 0
    assert f"{ROOM}/dont.py" in build.stderr and PAGE[5:] in build.stderr


@pytest.fixture
def spoilt(site: Path, tmp_path: Path) -> Path:
    """The built page of the rule, alone, to spoil."""
    html = tmp_path / RULE.address / "index.html"
    html.parent.mkdir(parents=True)
    shutil.copy(site / RULE.address / "index.html", html)
    return html


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Charges", "Fees", "shows blocks that are no tested file"),
        ("</article>", "<pre>x</pre></article>", "has code outside of a fence"),
        ("<h1", "<script src='//a.org/x'></script><h1", "loads //a.org/x"),
        ("</article>", "--8<-- 'x'</article>", "the reader sees an include"),
    ],
)
def test_a_fault_in_a_built_page_is_found(old, new, message, spoilt):
    replace(spoilt, old, new)
    (found,) = checks.built_problems(RULE, spoilt.parents[2])
    assert f"{PAGE}: " in found and message in found


def test_a_renamed_heading_id_is_found(spoilt):
    replace(spoilt, 'id="symptom"', 'id="signs"')
    address = f"{RULE.address}#symptom"
    (found,) = checks.permalink_problems(spoilt.parents[2], [address])
    assert f"docs/permalinks.txt: {address}: the anchor is gone" in found


def test_a_lost_page_is_found(spoilt):
    spoilt.unlink()
    (found,) = checks.permalink_problems(spoilt.parents[2], [RULE.address])
    assert f"docs/permalinks.txt: {RULE.address}: the page is gone" in found


def test_an_address_that_has_left_the_ledger_is_found(tmp_path):
    ledger = tmp_path / "docs/permalinks.txt"
    ledger.parent.mkdir()
    tool("git", "init", cwd=tmp_path)
    for text in ("secrets/\nsecrets/#do\n", "secrets/\n"):
        ledger.write_text(text)
        tool("git", "add", ".", cwd=tmp_path)
        name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        tool("git", *name, "commit", "-m", "x", cwd=tmp_path)
    (found,) = checks.ledger_problems(tmp_path)
    assert "docs/permalinks.txt: secrets/#do: was in it" in found


def test_serve_reloads_the_page_when_a_program_changes(copy, browser):
    output = copy / ROOM / "dont.out"
    for page in (copy / "docs").rglob("*.md"):
        if page != copy / PAGE:
            page.unlink()
    port = backend.free_port()
    page = f"http://127.0.0.1:{port}/resilience/retry-tasks-not-flows/"
    mkdocs = [sys.executable, "-m", "mkdocs"]
    with (
        browser.new_page() as view,
        backend.serve(
            [*mkdocs, "serve", "--dev-addr", f"127.0.0.1:{port}"],
            page,
            cwd=copy,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ
            | {"SITE_URL": f"http://127.0.0.1:{port}/", "PUBLISH": "false"},
        ),
    ):
        view.goto(page)
        output.write_text("Charges for order-7: 99\n")
        shown = view.get_by_text("order-7: 99")
        expect(shown).to_be_visible(timeout=backend.patient(30_000))
