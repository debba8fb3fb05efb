"""The built site: blocks, links, addresses, hosts, and what readers do."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, expect

from tests import contract
from tests.book import BOOK, LEVELS, ROOT, Rule
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


def asked_of(rules: list[Rule]) -> dict[str, set[str]]:
    """What readers type or paste, with the addresses that answer it."""
    wanted: dict[str, set[str]] = {}
    for rule in rules:
        for text in rule.asked + rule.symptoms:
            wanted.setdefault(text, set()).add(rule.address)
    return wanted


def changed(text: str) -> str:
    """A text with other numbers, or without its first word."""
    words = text.split()
    if re.search(r"\d", text):
        return re.sub(r"\d+", lambda number: str(int(number[0]) + 41), text)
    return " ".join(words[len(words) > 3 :])


ASKED = asked_of(BOOK.rules)


# What a text in the field of the search finds, after it was empty. It looks at
# each frame, because there is much to ask, until no frame brings more.
ASK = """async text => {
    const field = document.querySelector(".md-search__input");
    const all = () => document.querySelectorAll(".md-search-result__item > a");
    const frame = () => new Promise(requestAnimationFrame);
    const end = performance.now() + 30_000;
    for (const value of ["", text]) {
        field.value = value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        while (Boolean(all().length) !== Boolean(value)) {
            if (performance.now() > end) return [];
            await frame();
        }
    }
    for (let seen = 0; seen < all().length; await frame()) seen = all().length;
    return [...new Set(Array.from(all(), link => link.pathname.slice(1)))];
}"""


@pytest.fixture(scope="module")
def found(browser: Browser, address: str) -> Iterator[Callable]:
    """Ask the search: one page for all, because its index takes a second.

    Yields:
        A function of what is typed. It returns the paths of the pages that are
        found, the best first.
    """
    with browser.new_context() as context:
        view = context.new_page()
        view.goto(address)
        view.locator(".md-search__input").focus()
        yield lambda text: view.evaluate(ASK, text)


@pytest.mark.parametrize("text", ASKED)
def test_what_readers_type_finds_its_rule_first(text, found):
    assert found(text)[0] in ASKED[text]
    assert ASKED[text] & {*found(changed(text))[:3]}


@pytest.mark.parametrize(
    "text",
    [
        "prefect project template",
        "example project",
        "how do I structure a prefect project",
        "cookiecutter for prefect",
        "docker compose example",
        "docker compose prefect server",
    ],
)
def test_who_begins_a_project_finds_the_starter_first(text, found):
    assert found(text)[0] == "starter/"


@pytest.mark.parametrize(
    "around",
    [
        "Finished in state Failed('Flow run encountered an exception. {}')",
        "Encountered exception during execution: {}",
    ],
)
def test_a_line_of_a_log_is_asked_by_its_message(around, found):
    for text in ("Failed to clone repository", "Retries are exhausted"):
        message = around.format(text)
        line = f"16:53:43.225 | ERROR   | Flow run 'quick-fox' - {message}"
        assert found(line)[0] in ASKED[text]


def test_a_question_in_the_address_is_answered_in_words_too(visit):
    view = visit("?q=flow:%20says+-Completed,+%22but+a%22+task+failed%3F", 1440)
    first = view.locator(".md-search-result__item > a").first
    expect(first).to_contain_text("Choose the final state")
    expect(view.locator(".md-search-result del")).to_have_count(0)


def test_the_index_of_the_search_is_small(site):
    index = (site / "search/search_index.json").read_bytes()
    assert len(gzip.compress(index, mtime=0)) <= 1_600 * len(BOOK.rules)
    sections = json.loads(index)["docs"]
    assert not [s for s in sections if s["location"].endswith("#proof")]
    assert not [s for s in sections if "Proven by" in s["text"]]


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_the_essentials_print_on_one_page_and_the_checklist_on_four(visit):
    essentials = [r for r in BOOK.rules if r.front_matter.level == LEVELS[0]]
    assert len(essentials) <= 25
    view = visit("checklist/", 1440)
    assert pages_of(view.pdf(format="A4")) <= 4
    others = "#recommended, #recommended ~ *"
    view.locator(others).evaluate_all("all => all.forEach(e => e.remove())")
    assert view.locator(".task-list-item").count() == len(essentials)
    assert pages_of(view.pdf(format="A4")) == 1


def test_the_ticks_of_the_checklist_stay_until_they_are_reset(visit):
    view = visit("checklist/", 1440)
    view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    boxes = view.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(3).check()
    view.reload()
    expect(view.locator(".task-list-item :checked")).to_have_count(2)

    view.get_by_role("button", name="Copy what is open").click()
    expect(view.get_by_role("status")).to_have_text(
        f"{len(BOOK.rules) - 2} lines copied"
    )
    second = view.evaluate("navigator.clipboard.readText()").splitlines()[0]
    rule = next(r for r in BOOK.rules if r.slug == "choose-the-final-state")
    assert second.startswith(f"- [ ] {rule.front_matter.check} (http://")
    assert second.endswith(f"/{rule.address})")

    view.get_by_role("button", name="Reset the ticks").click()
    view.reload()
    expect(view.locator(".task-list-item :checked")).to_have_count(0)


def test_a_page_may_load_only_what_the_policy_allows(site):
    scripts = " ".join(["'self'", *BOOK.config.extra["inline_scripts"]])
    assert len(BOOK.config.extra["inline_scripts"]) == 2
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


def test_the_feed_leads_to_what_changed(site):
    atom = "{http://www.w3.org/2005/Atom}"
    feed = ElementTree.parse(site / "feed.xml").getroot()
    changes = web.soup(site / "changes/index.html")
    headings = [heading["id"] for heading in changes.select("article h2")]
    for entry, heading in zip(feed.iter(f"{atom}entry"), headings, strict=True):
        address = f"{BOOK.config.site_url}changes/#{heading}"
        assert entry.find(f"{atom}link").get("href") == address
        content = BeautifulSoup(entry.findtext(f"{atom}content"), "html.parser")
        for link in content.select("a[href]"):
            assert (site / link["href"] / "index.html").is_file()
    days = [day.text for day in feed.iter(f"{atom}updated")]
    assert days[0] == max(days)


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
        expect(view.get_by_role("status")).to_have_text("Copied")
        assert text in copied(view)[kind]


def test_the_keyboard_copies_a_link_and_comes_back_to_its_sign(visit):
    view = visit("modular-workflows/map-with-care/", 1440)
    sign = view.locator("#do > .headerlink")
    sign.focus()
    view.keyboard.press("Enter")
    expect(view.get_by_role("button", name="Copy the address")).to_be_focused()
    view.keyboard.press("Escape")
    expect(view.locator(".copy-link")).to_have_count(0)
    expect(sign).to_be_focused()
    expect(view.get_by_role("heading", name="Do", exact=True)).to_be_attached()


def test_the_copy_of_a_page_as_markdown_is_copied(site, visit):
    path = "modular-workflows/map-with-care/"
    view = visit(path, 1440)
    view.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.get_by_text("Copy page").click()
    expect(view.get_by_role("status")).to_have_text("Copied")
    copy = (site / path / "index.md").read_text("utf-8")
    assert copied(view)["text/plain"] == copy


def test_the_question_of_the_home_page_opens_the_search(visit):
    view = visit("", 390)
    view.get_by_text("Paste an error message").click()
    view.locator(".md-search__input").press_sequentially("retry tasks")
    result = view.locator(".md-search-result__item > a").first
    expect(result).to_contain_text("Retry tasks, not flows")


def test_a_rule_shows_its_point_on_the_first_screen(visit):
    late, cut = [], Counter()
    for rule in BOOK.rules:
        view = visit(rule.address, 1440)
        looks = view.locator(".look")
        for width, height in ((1440, 900), (390, 844)):
            view.set_viewport_size({"width": width, "height": height})
            first, last = looks.first.bounding_box(), looks.last.bounding_box()
            if first["y"] > height / 2:
                late.append(f"{rule.slug} at {width} pixels")
            cut[width] += last["y"] + last["height"] > height
    assert late == []
    # Those whose difference is long, see sides.MANY.
    assert max(cut.values()) < len(BOOK.rules) / 3


def test_what_a_page_runs_at_home_is_on_the_site(site):
    for rule in BOOK.rules:
        page = web.soup(site / rule.address / "index.html")
        lines = [code.get_text() for code in page.select(".run code")]
        assert len(lines) == len(rule.programs)
        for line in lines:
            run, folder, *names = line.partition(" http")[2].split()
            assert f"http{run}" == f"{BOOK.config.site_url}run.py"
            for name in names:
                published = site / "programs" / folder / name
                own = ROOT / "snippets" / folder / name
                assert published.read_bytes() == own.read_bytes()


@pytest.mark.parametrize(
    "program",
    [
        "resilience/back_off_with_jitter/do",  # needs another file
        "testing/start_one_harness_per_session/do",  # needs another package
    ],
)
def test_a_program_runs_at_home_as_its_page_shows(program, site, tmp_path):
    """Prefect is there already, so that nothing is downloaded but the program.

    The site has another address here than its pages say.
    """
    page = web.soup(
        site / Path(program).parent.as_posix().replace("_", "-") / "index.html"
    )
    (line,) = (
        code.get_text()
        for code in page.select(".run code")
        if f"{Path(program).name}.py" in code.get_text().split()
    )
    shutil.copytree(site / "programs", tmp_path / "programs")
    script = tmp_path / "run.py"
    shutil.copy(site / "run.py", script)
    with web.served(tmp_path) as address:
        here = script.read_text("utf-8").replace(BOOK.config.site_url, address)
        script.write_text(here, "utf-8")
        run = tool(
            *line.replace(BOOK.config.site_url, address).split(),
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "UV_PYTHON": sys.executable,
            },
        )
    assert run.returncode == 0, run.stderr
    output = ROOT / "snippets" / f"{program}.out"
    assert run.stdout == output.read_text("utf-8")


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
        (link,) = page.select("link[rel=alternate][type='text/markdown']")
        copy = (site / rule["address"] / link["href"]).read_text("utf-8")
        for block in page.select("div.highlight:not(.run)"):
            assert block.select_one("code").get_text().rstrip() in copy
        assert copy.partition("\n")[2].strip()[:500] in whole
        chapter = site / f"llms-{rule['chapter']}.txt"
        assert copy.strip() in chapter.read_text("utf-8")
        line = f"/{rule['address']}index.md): {rule['description']}"
        assert line in listed
    in_order = [listed.index(f"/{rule['address']}index.md") for rule in rules]
    assert in_order == sorted(in_order)
    assert not [r for r in BOOK.rules if r.test.read_text("utf-8") in whole]


# Messages with the names and numbers of others, and the rules for them.
MESSAGES = {
    "09:14 | Still processing items: 12 left": "right-size-tasks",
    "3/7 states failed.": "choose-the-final-state",
    "Task run exceeded timeout of 5.0 second(s)": "set-timeouts-that-work",
    "No module named 'my_company'": "ship-a-package",
    "Retry 2/3 will start 10 second(s) from now": "make-retries-instant",
    "cannot pickle 'psycopg2.connection' object": "build-clients-inside-tasks",
    "{'token': '**********'}": "never-pass-a-secret-as-a-parameter",
    "Process exited with status code: -15": "survive-a-killed-worker",
    "{'exception_message': 'Unauthorized'}": (
        "protect-the-server expose-metrics"
    ),
    "limits ['db'] do not exist - skipping acquisition.": (
        "create-limits-before-you-use-them"
    ),
    "'NoneType' object has no attribute 'get'": "",
    "ZeroDivisionError: division by zero": "",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_script_finds_the_rules_of_a_message(message, address):
    slugs = MESSAGES[message].split()
    run = tool(sys.executable, "snippets/find_rule.py", address, message)
    assert run.stdout.splitlines() == [
        f"{rule.title}: {address}{rule.address}"
        for rule in BOOK.rules
        if rule.slug in slugs
    ]
    assert run.returncode == (not slugs)
    assert ("No rule knows this" in run.stderr) == (not slugs)


def test_a_script_finds_a_rule_by_words(address):
    def found(message: str) -> list[str]:
        run = tool(sys.executable, "snippets/find_rule.py", address, message)
        assert run.returncode == (not run.stdout)
        assert ("No rule knows this" in run.stderr) == (not run.stdout)
        return run.stdout.splitlines()

    said = "Since we retry, some customers were charged two times."
    rules = found(said)
    assert rules[0].startswith("Retry tasks, not flows: ")
    assert len(rules) <= 3
    assert found(f"{said} Zwirbel knarzt!") == rules  # no rule has these words
    assert found("Zwirbel knarzt!") == []
    assert found("charged") == []  # one word is not enough


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
    home = web.soup(tmp_path / "index.html")
    assert not home.select(".md-source, .md-content__button")  # no REPO_URL
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
