"""The site is for everyone: axe-core, widths, keyboard, without scripts.

axe-core also looks at the order of headings and at the texts of pictures.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from bs4 import Tag
from playwright.sync_api import expect

from tests import contract
from tests.book import BOOK, ROOT
from tests.site import web

# Two workers share the pages: each starts one browser.
HALVES = [pytest.mark.xdist_group(f"access {half}") for half in (0, 1)]
PAGES = {page.name: page.address for page in BOOK.pages}
PAGES["404.html"] = "404.html"
COLOURS = ["color-contrast", "link-in-text-block"]
NUMBERS = re.compile("^m[bfhio]$")
# Examined wide and dark too: together they show all that any page shows.
ALL_STATES = {
    "404.html",
    "docs/checklist.md",
    "docs/decisions.md",
    "docs/index.md",
    "docs/modular-workflows/keep-logic-in-plain-functions.md",
    "docs/monitoring/expose-metrics.md",
    "docs/reference/index.md",
    "docs/reference/starter.md",
    "docs/resilience/raise-dont-return-failed.md",
    "docs/scaling/run-two-servers.md",
    "docs/secrets/keep-secrets-out-of-logs.md",
    "docs/secrets/never-pass-a-secret-as-a-parameter.md",
    "docs/secrets/protect-the-server.md",
    "docs/secrets/put-the-server-behind-a-proxy.md",
    "docs/secrets/read-secrets-from-the-environment.md",
    "docs/starter/index.md",
    "docs/starter/operations.md",
    "docs/symptoms.md",
    "docs/version-control/ignore-local-state.md",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=HALVES[number % 2])
        for number, name in enumerate(PAGES)
    ],
)
def test_everyone_can_read_the_page(name, visit):
    found: list[str] = []
    view = visit(PAGES[name], 390)
    view.emulate_media(reduced_motion="reduce")
    view.mouse.move(9, 9)
    to_dark = view.get_by_title("Switch to dark mode")
    expect(to_dark).to_be_visible()  # so the theme's script has run
    view.evaluate(AXE_SCRIPT)

    def look(seen: str, **options: object) -> None:
        violations = view.evaluate(
            "options => axe.run(options).then(result => result.violations)",
            {"resultTypes": ["violations"], **options},
        )
        found.extend(
            f"{seen}: {rule['help']}: {node['target']}"
            for rule in violations
            for node in rule["nodes"]
        )

    def measure(width: int) -> None:
        wide = view.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{wide} pixels wide at {width}")

    measure(390)
    # Colours depend on kinds of elements, and ALL_STATES has each kind.
    all_states = name in ALL_STATES
    look("390 light", rules={rule: {"enabled": all_states} for rule in COLOURS})
    if all_states:
        to_dark.click()
        expect(view.locator("body[data-md-color-scheme=slate]")).to_be_visible()
        look("390 dark", runOnly=COLOURS)
    # Wider and not narrower: the theme takes a moment to find out which
    # programs scroll now, and the keyboard must reach those.
    view.set_viewport_size({"width": 1440, "height": 900})
    measure(1440)
    if all_states:
        look("1440 dark", runOnly=COLOURS)
        view.get_by_title("Switch to light mode").click()
        light = view.locator("body[data-md-color-scheme=default]")
        expect(light).to_be_visible()
        look("1440 light")
    cut = view.evaluate(
        """() => {
            document.querySelectorAll("details").forEach(d => d.open = true);
            return [...document.querySelectorAll("article pre code")]
                .filter(code => code.scrollWidth > code.clientWidth)
                .map(code => code.innerText.slice(0, 60));
        }"""
    )
    found.extend(f"code needs scrolling at 1440 pixels: {code}" for code in cut)
    contract.report([f"{name}: {problem}" for problem in found])


def kinds(html: Path) -> set[str]:
    """What a colour can depend on: elements and classes, with the parents'.

    The style sheet has one colour for the numbers of programs.
    """

    def names(tag: Tag) -> list[str]:
        classes = tag.get("class") or [""]
        return [f"{tag.name}.{NUMBERS.sub('m', c)}" for c in classes]

    return {
        f"{outer} > {inner}"
        for tag in web.soup(html).select("article *")
        for outer in names(tag.parent)
        for inner in names(tag)
    }


@pytest.mark.xdist_group("site")  # its worker has parsed the pages
def test_the_pages_examined_in_all_states_show_all_that_any_page_shows(site):
    shown = {
        name: kinds(site / address / "index.html")
        for name, address in PAGES.items()
        if name != "404.html"
    }
    examined = set().union(*(shown.get(name, set()) for name in ALL_STATES))
    unseen = [
        f"{name}: never examined in the dark: {sorted(found - examined)}."
        " Add the page to ALL_STATES in tests/site/test_access.py."
        for name, found in shown.items()
        if found - examined
    ]
    contract.report(unseen)


def test_the_numbers_of_programs_have_one_colour():
    sheet = (ROOT / "docs/assets/style.css").read_text("utf-8")
    all_selectors = re.findall(r"([^{}]+)\{", sheet)
    (numbers,) = [s for s in all_selectors if re.search(r"\.m[bfhio]?\b", s)]
    assert {".highlight .m", ".highlight .mi"} <= {*numbers.split(",")}


@HALVES[0]
def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    view = visit("resilience/key-your-cache/", 1440)
    seen, hidden = set(), []
    for _ in range(300):
        view.keyboard.press("Tab")
        focus = view.evaluate(
            """() => {
                const e = document.activeElement;
                const style = getComputedStyle(e);
                return {
                    tag: e.tagName,
                    text: (e.innerText || e.title || e.name || "").trim(),
                    outline: style.outlineStyle !== "none",
                };
            }"""
        )
        if focus["tag"] == "BODY":
            break
        seen.add(focus["text"])
        if not focus["outline"] and focus["tag"] != "INPUT":
            hidden.append(focus)
    assert {"Skip to content", "Key your cache", "Symptoms", "Next"} <= {
        text.split("\n")[0] for text in seen
    }
    assert not hidden, f"no visible focus on {hidden}"


@HALVES[0]
def test_a_page_is_read_without_scripts(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        view = context.new_page()
        view.goto(address + "resilience/key-your-cache/")
        for heading in ("symptom", "dont", "do", "proof"):
            assert view.locator(f"h2#{heading}").is_visible()
        assert "sales 900" in view.locator("article").inner_text()


@HALVES[0]
def test_nothing_moves_for_readers_who_asked_for_that(visit):
    view = visit("", 1440)
    moving = """() => [...document.querySelectorAll("*")].filter(e => {
        const style = getComputedStyle(e);
        return !/^(0s(, )?)+$/.test(style.transitionDuration)
            || style.animationName !== "none";
    }).length"""
    assert view.evaluate(moving) > 0
    view.emulate_media(reduced_motion="reduce")
    assert view.evaluate(moving) == 0
