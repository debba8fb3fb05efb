"""The built site: blocks, links, addresses, hosts, and what readers do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import contract
from tests.book import BOOK, ROOT
from tests.programs import tool
from tests.site import checks, web

pytestmark = pytest.mark.xdist_group("site")
PAGES = {page.name: page for page in BOOK.pages}


@pytest.mark.parametrize("name", PAGES)
def test_each_built_block_is_a_tested_text(name, site):
    contract.report(checks.built_problems(PAGES[name], site))


def test_every_published_address_still_works(site, record):
    file = ROOT / "docs" / "permalinks.txt"
    ledger = file.read_text("utf-8").splitlines() if file.exists() else []
    contract.report(checks.permalink_problems(site, ledger))
    now = sorted({*ledger, *checks.permalinks(BOOK, site)})
    record(file, "\n".join(now) + "\n")


def test_no_address_has_left_the_ledger():
    contract.report(checks.ledger_problems(ROOT))


def test_links_and_anchors_lead_somewhere(site):
    checked = tool(
        *("lychee", "--offline", "--include-fragments", "--no-progress"),
        *("--index-files=index.html", f"--root-dir={site}", site),
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_404_page_offers_the_search(visit):
    view = visit("no/such/page/", 1440)
    view.get_by_text("Search the rules").click()
    view.locator(".md-search__input").press_sequentially("retry tasks")
    result = view.locator(".md-search-result__item > a")
    result.filter(has_text="Retry tasks, not flows").first.click()
    assert view.locator("h1").inner_text().startswith("Retry tasks, not flows")


SYMPTOMS = sorted({s for r in BOOK.rules for s in r.symptoms})


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
def test_searching_a_symptom_finds_its_rule_first(symptom, search):
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
        rule.address for rule in BOOK.rules if symptom in rule.symptoms
    }


def test_the_checklist_prints_on_two_pages_at_most(visit):
    pdf = visit("checklist/", 1440).pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2


def test_a_page_may_load_only_what_the_policy_allows(site):
    scripts = " ".join(["'self'", *BOOK.config.extra["inline_scripts"]])
    assert len(BOOK.config.extra["inline_scripts"]) == 3
    for html in site.rglob("*.html"):
        soup = web.soup(html)
        if soup.select_one("meta[http-equiv=refresh]"):
            continue
        (policy,) = soup.select("meta[http-equiv=Content-Security-Policy]")
        assert policy["content"].split("; ") == [
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]


def test_each_inline_script_is_allowed_by_the_policy(site):
    allowed = BOOK.config.extra["inline_scripts"]
    for html in site.rglob("*.html"):
        soup = web.soup(html)
        for script in soup.select("script:not([src], [type])"):
            digest = hashlib.sha256(script.text.encode()).digest()
            source = f"'sha256-{base64.b64encode(digest).decode()}'"
            assert source in allowed, (
                f"{html.relative_to(site)}: its script {script.text[:60]!r}"
                f" does not run. If it must, add {source} to inline_scripts in"
                " mkdocs.yml."
            )
        assert not soup.select("[onclick], [onload], [onerror], [style]")


@pytest.mark.parametrize("name", PAGES)
def test_a_link_to_the_page_shows_its_title_and_its_reason(name, site):
    page = PAGES[name]
    soup = web.soup(site / page.address / "index.html")
    said = {
        tag["property"]: tag["content"]
        for tag in soup.select("meta[property^='og:']")
    }
    home = page.path == "index.md"
    title = BOOK.config.site_name if home else page.title.replace("`", "")
    assert said["og:title"] == title
    assert said["og:description"] == page.description
    assert said["og:url"] == BOOK.config.site_url + page.address
    image = said["og:image"].removeprefix(BOOK.config.site_url)
    assert (site / image).is_file()
    (canonical,) = soup.select("link[rel=canonical]")
    assert canonical["href"] == said["og:url"]
    assert said["og:url"] in (site / "sitemap.xml").read_text("utf-8")


def test_what_changed_names_every_rule():
    changes = (ROOT / "docs/changes.md").read_text("utf-8")
    silent = [rule.slug for rule in BOOK.rules if rule.path not in changes]
    assert not silent, f"docs/changes.md: add a line for {silent}"


def copied(view: Page) -> dict[str, str]:
    """What the clipboard holds, by type."""
    return view.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const read = type => item.getType(type).then(blob => blob.text());
            const pairs = item.types.map(async t => [t, await read(t)]);
            return Object.fromEntries(await Promise.all(pairs));
        }"""
    )


@pytest.mark.parametrize(
    ("heading", "title", "anchor"),
    [
        ("h1", "Know what map iterates over", ""),
        ("h2#do", "Know what map iterates over: Do", "#do"),
    ],
)
def test_a_heading_gives_its_link_in_three_forms(
    heading, title, anchor, address, visit
):
    path = "modular-workflows/map-with-care/"
    view = visit(path, 1440)
    view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    url = address + path + anchor
    forms = {
        "Copy the address": ("text/plain", url),
        "Copy as Markdown": ("text/plain", f"[{title}]({url})"),
        "Copy as a titled link": ("text/html", f'<a href="{url}">{title}</a>'),
    }
    for label, (kind, text) in forms.items():
        view.locator(heading).hover()
        view.locator(f"{heading} > .headerlink").click()
        view.get_by_role("button", name=label).click()
        expect(view.get_by_role("button", name="Copied")).to_be_visible()
        assert text in copied(view)[kind]


def test_the_rules_are_published_as_data_and_as_markdown(site):
    rules = json.loads((site / "rules.json").read_text("utf-8"))["rules"]
    whole = (site / "llms-full.txt").read_text("utf-8")
    listed = (site / "llms.txt").read_text("utf-8")
    assert [rule["slug"] for rule in rules] == [r.slug for r in BOOK.rules]
    for rule in rules:
        page = web.soup(site / rule["address"] / "index.html")
        text = page.select_one("article").get_text()
        assert all(symptom in text for symptom in rule["symptoms"])
        assert " ".join(rule["description"].split()) in " ".join(text.split())
        copy = (site / rule["address"] / "index.md").read_text("utf-8")
        for block in page.select("div.highlight"):
            assert block.select_one("code").get_text().rstrip() in copy
        assert copy.partition("\n")[2].strip()[:500] in whole
        assert f"/{rule['address']}index.md" in listed


def test_a_script_finds_the_rule_of_a_message(address):
    message = "09:14 | Still processing items: 12 left"
    run = tool(sys.executable, "snippets/find_rule.py", address, message)
    assert run.stdout == f"{address}modular-workflows/right-size-tasks/\n"


def test_an_old_address_leads_to_the_new_one(tmp_path, browser):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home")
    (docs / "new.md").write_text("# New\n\n[](){#old-id}\n## New { #new-id }")
    (tmp_path / "mkdocs.yml").write_text(
        "site_name: Moved\n"
        "markdown_extensions: [attr_list]\n"
        "plugins:\n"
        "  - autorefs\n"
        "  - redirects: { redirect_maps: { old.md: new.md } }\n"
    )
    built = tmp_path / "site"
    web.build(tmp_path, built).check_returncode()

    contract.report(checks.permalink_problems(built, ["old/#old-id"]))
    assert len([*checks.permalink_problems(built, ["old/#lost", "gone/"])]) == 2
    with web.served(built) as address, browser.new_context() as context:
        view = context.new_page()
        view.goto(f"{address}old/#old-id")
        view.wait_for_url(f"{address}new/#old-id")
        assert view.locator("#old-id").count() == 1


def test_the_offline_site_without_reference_works_from_a_disk(
    tmp_path, browser
):
    # Built as `make serve` does: strict, so no link into the reference breaks.
    build = web.build(ROOT, tmp_path, OFFLINE="true")
    assert build.returncode == 0, build.stderr
    left_out = (tmp_path / "reference/index.html").read_text("utf-8")
    assert "This preview has no reference" in left_out
    asked: list[str] = []
    with browser.new_context() as context:
        view = context.new_page()
        view.on("request", lambda request: asked.append(request.url))
        view.goto((tmp_path / "index.html").as_uri())
        view.keyboard.press("/")
        view.keyboard.type("retry tasks")
        first = view.locator(".md-search-result__item > a").first
        expect(first).to_contain_text("Retry tasks, not flows")
        first.click()
        heading = view.locator("h1")
        expect(heading).to_contain_text("Retry tasks, not flows")
    strangers = [url for url in asked if url.startswith("http")]
    assert strangers == []


def test_links_to_other_sites_are_well_formed(site):
    wrong = {
        f"{html.relative_to(site)}: {link['href']}"
        for html in site.rglob("*.html")
        for link in web.soup(html).select("article a[href*='//']")
        if not re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", str(link["href"]))
    }
    assert wrong == set()
