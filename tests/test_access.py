"""The site is for everyone: axe-core, keyboard, reading without scripts.

axe-core also looks at the order of headings and at the texts of pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from tests.book import ROOT, Book

pytestmark = pytest.mark.xdist_group("site")
PAGES = {page.name: page for page in Book(ROOT).pages}
COLOURS = {"light": "default", "dark": "slate"}  # as the theme names them


@pytest.mark.parametrize("scheme", COLOURS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(
    name: str, scheme: str, visit: Callable[..., Page]
) -> None:
    view = visit(PAGES[name].address, 390, scheme)
    view.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    body = view.locator("body")
    expect(body).to_have_attribute("data-md-color-scheme", COLOURS[scheme])
    view.evaluate(AXE_SCRIPT)
    found: list[str] = []
    for width in (390, 1440):
        view.set_viewport_size({"width": width, "height": 900})
        result = view.evaluate("axe.run({resultTypes: ['violations']})")
        found += [
            f"{width}: {rule['help']}: {node['target']}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]
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
