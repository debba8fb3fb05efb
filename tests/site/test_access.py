"""The site is for everyone: axe-core, keyboard, reading without scripts.

axe-core also looks at the order of headings and at the texts of pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from tests.book import ROOT, Book

# Not with the other tests of the site: the two groups run side by side.
pytestmark = pytest.mark.xdist_group("access")
PAGES = {page.name: page for page in Book(ROOT).pages}


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, visit: Callable[..., Page]) -> None:
    found: list[str] = []
    view = visit(PAGES[name].address, 390)
    view.emulate_media(reduced_motion="reduce")
    view.evaluate(AXE_SCRIPT)

    def look(seen: str, options: dict[str, list[str]]) -> None:
        violations = view.evaluate(
            "options => axe.run(options).then(result => result.violations)",
            options,
        )
        found.extend(
            f"{seen}: {rule['help']}: {node['target']}"
            for rule in violations
            for node in rule["nodes"]
        )

    # A dark page differs in its colours only.
    every_rule = {"resultTypes": ["violations"]}
    colours = every_rule | {"runOnly": ["color-contrast", "link-in-text-block"]}
    look("390 light", every_rule)
    view.get_by_title("Switch to dark mode").click()
    expect(view.locator("body[data-md-color-scheme=slate]")).to_be_visible()
    look("390 dark", colours)
    # Wider and not narrower: the theme takes a moment to find out which
    # programs scroll now, and the keyboard must reach those.
    view.set_viewport_size({"width": 1440, "height": 900})
    look("1440 dark", colours)
    view.get_by_title("Switch to light mode").click()
    expect(view.locator("body[data-md-color-scheme=default]")).to_be_visible()
    look("1440 light", every_rule)
    assert not found, "\n".join(found)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    visit: Callable[..., Page],
) -> None:
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
    assert {"Skip to content", "Key your cache", "Checklist", "Next"} <= {
        text.split("\n")[0] for text in seen
    }
    assert not hidden, f"no visible focus on {hidden}"


def test_a_page_is_read_without_scripts(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        view = context.new_page()
        view.goto(address + "resilience/key-your-cache/")
        for heading in ("symptom", "dont", "do", "proof"):
            assert view.locator(f"h2#{heading}").is_visible()
        assert "sales 900" in view.locator("article").inner_text()


def test_nothing_moves_for_readers_who_asked_for_that(
    visit: Callable[..., Page],
) -> None:
    view = visit("", 1440)
    moving = """() => [...document.querySelectorAll("*")].filter(e => {
        const style = getComputedStyle(e);
        return !/^(0s(, )?)+$/.test(style.transitionDuration)
            || style.animationName !== "none";
    }).length"""
    assert view.evaluate(moving) > 0
    view.emulate_media(reduced_motion="reduce")
    assert view.evaluate(moving) == 0
