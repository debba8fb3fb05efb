"""What the theme costs a reader, and what a reader gets for it and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import rjsmin
from playwright.sync_api import Page, Route, expect

from overrides import style
from tests.book import BOOK, ROOT
from tests.site import web

pytestmark = pytest.mark.xdist_group("theme")
MATERIAL = "**/assets/javascripts/bundle.*.js"
RULE = "resilience/retry-tasks-not-flows/"


def test_the_style_sheet_holds_what_the_pages_use(site, record):
    pages = [html.read_text("utf-8") for html in site.rglob("*.html")]
    own = (ROOT / "overrides/site.css").read_text("utf-8")
    foreign = (site / "assets/_mkdocstrings.css").read_text("utf-8")
    sheet = style.stylesheet(pages, own, foreign)
    record(ROOT / "docs/assets/style.css", sheet)


@pytest.mark.parametrize("name", ["checklist.js", "early.js", "site.js"])
def test_the_scripts_are_ours_without_comments_and_spaces(name, record):
    script = (ROOT / "overrides" / name).read_text("utf-8")
    record(ROOT / "docs/assets" / name, f"{rjsmin.jsmin(script)}\n")


# What a page may cost with Material's script, in bytes compressed with gzip.
RULE_PAGE = 64_000
MEDIAN_RULE = 61_000
PAGE = 68_000
LONG_PAGE = 118_000  # what grows with the rules: LONG below
LONG = (
    "reference",
    "symptoms",
    "starter/code",
    "starter/operations",
    *(f"{c.name}/tests" for c in BOOK.chapters),
)
UNTIL_AN_ACT = 34_000  # what the script weighs, which comes with the first act


def test_each_page_stays_within_its_budget(site):
    pages = {
        str(html.relative_to(site)): web.parts(html, site)
        for html in site.rglob("*.html")
    }
    rules = {f"{rule.address}index.html" for rule in BOOK.rules}
    budgets = []
    for name, parts in pages.items():
        long = name.removesuffix("/index.html") in LONG
        most = RULE_PAGE if name in rules else LONG_PAGE if long else PAGE
        budgets.append((name, parts, most))
        view = {path: n for path, n in parts.items() if "/bundle." not in path}
        budgets.append((f"{name} before an act", view, most - UNTIL_AN_ACT))
    median = sorted(rules, key=lambda name: sum(pages[name].values()))[
        len(rules) // 2
    ]
    budgets.append(("the median rule", pages[median], MEDIAN_RULE))
    heavy = [
        f"{name}: {sum(parts.values())} bytes, at most {budget}:"
        + "".join(
            f"\n    {size:6} {path}"
            for path, size in sorted(parts.items(), key=lambda part: -part[1])
        )
        for name, parts, budget in budgets
        if sum(parts.values()) > budget
    ]
    assert not heavy, "\n".join(heavy)


@contextmanager
def before_material(view: Page) -> Iterator[None]:
    """Let the reader act while Material's script is still on its way.

    A page that is open already may load a script before Chromium has told it
    that requests are held, so it is opened again.
    """
    waiting: list[Route] = []
    view.route(MATERIAL, lambda route: waiting.append(route))
    view.reload()
    with view.expect_request(MATERIAL):
        yield
    while not waiting:
        view.wait_for_timeout(10)
    waiting.pop().continue_()


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("home", lambda view: view.mouse.move(200, 200)),
        ("chapter", lambda view: view.evaluate("document.links[0].focus()")),
        ("rule", lambda view: view.evaluate("scrollTo(0, 100)")),
        ("list", lambda view: view.keyboard.press("Tab")),
        ("reference", lambda view: view.clock.run_for(11_000)),
    ],
    ids=["pointer", "focus", "scroll", "key", "time"],
)
def test_material_waits_for_the_first_act(kind, act, browser, site, address):
    path, asked = web.KINDS[kind], set[str]()
    with browser.new_context() as context:  # of its own: its clock is stopped
        view = context.new_page()
        view.on(
            "request", lambda request: asked.add(urlsplit(request.url).path)
        )
        view.clock.install()
        view.goto(address + path, wait_until="networkidle")
        weighed = web.parts(site / path / "index.html", site).keys()
        (late,) = weighed ^ asked
        assert "/bundle." in late
        # Within less than the time after which it comes anyway.
        with view.expect_request(MATERIAL, timeout=5_000):
            act(view)
        expect(view.locator(".md-nav__link--active").first).to_be_attached()


def test_the_search_is_loaded_when_it_is_first_used(visit):
    asked: list[str] = []
    view = visit(RULE, 1440)
    view.on("request", lambda request: asked.append(request.url))
    view.reload()
    view.mouse.move(200, 200)
    expect(view.locator(".md-code__nav").first).to_be_attached()
    view.wait_for_load_state("networkidle")
    assert not [url for url in asked if "search" in url]
    with view.expect_request("**/search_index.json"):
        view.locator(".md-search__input").click()


def finds(view: Page, words: str = "retry tasks") -> None:
    view.keyboard.type(words)
    first = view.locator(".md-search-result__item > a").first
    expect(first).to_contain_text("Retry tasks, not flows")
    expect(first).to_be_visible()


def test_a_slash_as_the_first_act_searches(visit):
    view = visit("changes/", 1440)
    with before_material(view):
        view.keyboard.press("/")
        view.keyboard.type("retry ")
    finds(view, "tasks")
    expect(view.locator(".md-search__input")).to_have_value("retry tasks")


@pytest.mark.parametrize(
    ("width", "sign"),
    [(1440, ".md-search__input"), (390, ".md-header__button[for=__search]")],
)
def test_a_click_on_the_search_as_the_first_act_searches(width, sign, visit):
    view = visit("changes/", width)
    with before_material(view):
        view.locator(sign).click()
    finds(view)


def test_a_search_in_the_address_starts_at_once(visit):
    view = visit("changes/?q=retry+tasks", 1440)
    finds(view, "")
    view = visit(f"{RULE}?h=retry", 1440)
    expect(view.locator("article mark").first).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_has_the_readers_scheme_and_its_toggle(scheme, visit):
    other = {"light": "dark", "dark": "light"}[scheme]
    body = visit("changes/", 1440, scheme).locator("body")
    schemes = {"light": "default", "dark": "slate"}
    expect(body).to_have_attribute("data-md-color-scheme", schemes[scheme])
    with before_material(body.page):
        body.page.get_by_title(f"Switch to {other} mode").click()
    expect(body).to_have_attribute("data-md-color-scheme", schemes[other])
    body.page.get_by_title(f"Switch to {scheme} mode").click()
    expect(body).to_have_attribute("data-md-color-scheme", schemes[scheme])


def test_the_drawer_opens_as_the_first_act_and_stays(visit):
    view = visit(RULE, 390)
    with before_material(view):
        view.locator("[for=__drawer].md-header__button").click()
    expect(view.locator(".md-sidebar--primary")).to_be_in_viewport()
    view.wait_for_timeout(300)
    expect(view.locator(".md-sidebar--primary")).to_be_in_viewport()


def test_a_key_as_the_first_act_turns_the_page(visit):
    view = visit(RULE, 1440)
    with before_material(view):
        view.keyboard.press("n")
    expect(view).to_have_url(re.compile("/back-off-with-jitter/$"))


def test_the_focus_stays_where_tab_has_led_when_material_starts(visit):
    view = visit(RULE, 1440)
    field = view.locator(".md-search__input")
    with before_material(view):
        for _ in range(4):
            view.keyboard.press("Tab")
        expect(field).to_be_focused()
    expect(view.locator(".md-code__nav").first).to_be_attached()
    expect(field).to_be_focused()


def test_the_first_click_on_a_copy_button_copies(visit):
    view = visit(RULE, 1440)
    view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    program = view.locator("article pre").first
    program.hover()
    program.get_by_role("button").click()
    expect(view.locator(".md-dialog")).to_contain_text("Copied")
    copied = view.evaluate("() => navigator.clipboard.readText()")
    assert copied == program.locator("code").inner_text().rstrip()


def test_the_first_click_on_a_link_sign_offers_the_link(visit):
    view = visit(RULE, 1440)
    with before_material(view):
        view.locator("h1 > .headerlink").click()
    expect(view.get_by_role("button", name="Copy the address")).to_be_focused()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", [*web.KINDS.values(), "about/the-article/"])
def test_nothing_moves_when_material_starts(path, width, visit):
    places = """() => [...document.querySelectorAll(
            "h1, h2, h3, article > *, footer, .md-search__form, .md-nav__item"
        )].map(e => [e.textContent.slice(0, 40).trim(),
            Math.round(e.getBoundingClientRect().top)].join())"""
    view = visit(path, width)
    before = view.evaluate(places)
    with view.expect_request(MATERIAL):
        view.mouse.move(0, 400)
    view.wait_for_timeout(500)
    assert view.evaluate(places) == before
