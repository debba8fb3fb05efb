"""The promise of the pages, as checks that return what breaks it.

Each function returns a list of problems, one line each, which begin with the
file's name and say what to do. An empty list is a promise kept. The suite
asserts empty lists for the book, and test_guards.py seeds each fault and
asserts that its line comes.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from posixpath import normpath
from subprocess import CompletedProcess

import pytest
from bs4 import BeautifulSoup, NavigableString, Tag

from tests import recorded, syntax
from tests.book import SECTION_MARKER, Book, Page, Rule, blocks_of

HEADINGS = (
    ("symptom", "Symptom"),
    ("dont", "Don't"),
    ("what-happens", "What happens"),
    ("do", "Do"),
    ("when-to-break-the-rule", "When to break the rule"),
    ("proof", "Proof"),
    ("see-also", "See also"),
)
# Markdown says these; only a line break in a list has no other sign.
RAW_HTML = re.compile(r"<(?!br\b)/?[a-z][^>]*>", re.I)
# What Markdown or an include would have taken away.
UNMADE = re.compile(r"8<--|<!--")
# What the fences of a page may be called: the word that Pygments and the
# reader know, by the ending of the file behind it.
LANGUAGES = {
    ".py": {"python"},
    ".out": {"text"},
    ".yaml": {"yaml"},
    ".yml": {"yaml"},
    ".toml": {"toml"},
    ".sh": {"sh"},
    ".console": {"console"},
    ".txt": {"text"},
    ".in": {"text"},
    ".diff": {"diff"},
    ".md": {"markdown"},
}


def report(problems: list[str]) -> None:
    """Fail the test with what a check found, if anything."""
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def page_problems(page: Page) -> list[str]:
    """Check one page as the site's Markdown renders it, and its includes."""
    missing = [
        f"{page.name}: includes {found['path']}: no such file."
        if not file.is_file()
        else f"{page.name}: includes {found['path']}:{found['section']}: the"
        " file has no such section."
        for found in page.includes
        if not (file := page.book.root / found["path"]).is_file()
        or text_of(file, found["section"]) is None
    ]
    if missing:
        return missing
    shown = {page.book.root / found["path"]: None for found in page.includes}
    return [
        *(p for file in shown for p in section_problems(file, page.book.root)),
        *_block_problems(page),
        *_text_problems(page),
        *(_rule_problems(page) if isinstance(page, Rule) else []),
    ]


def _block_problems(page: Page) -> list[str]:
    """Check that each block is an include of a tested file, and says which."""
    problems = []
    includes = [
        (page.book.root / found["path"], found["section"])
        for found in page.includes
    ]
    above: Path | None = None
    for block in page.blocks:
        shown = next(
            (i for i in includes if text_of(*i) == block.text and block.text),
            None,
        )
        if shown is None:
            problems.append(
                f"{page.name}: the block {block.title!r} ({block.text[:40]!r})"
                " is typed in. A block holds one line, an include of a tested"
                ' file: --8<-- "snippets/..." or --8<-- "snippets/...:section".'
            )
            continue
        includes.remove(shown)
        file, _ = shown
        path = file.relative_to(page.book.root).as_posix()
        languages = LANGUAGES.get(file.suffix, set())
        if block.language not in languages or not block.title:
            problems.append(
                f"{page.name}: the block of {path}: write its fence as"
                f' ```{next(iter(languages), "text")} title="{file.name}",'
                " with a language and a title."
            )
        if file.suffix == ".out" and above != file.with_suffix(".py"):
            problems.append(
                f"{page.name}: the output {path} must stand below its program."
            )
        if not _is_used(file, page.book):
            problems.append(
                f"{page.name}: includes {path}, which no test runs or reads."
            )
        above = file
    problems += [
        f"{page.name}: includes {file.relative_to(page.book.root)} outside of"
        " a block of its own."
        for file, _ in includes
    ]
    return problems


def _text_problems(page: Page) -> list[str]:
    """Check the headings, and that nothing in the text is raw HTML."""
    problems = [
        f"{page.name}: {heading.get_text()!r}: give the heading an id, as in"
        " '## Do { #do }'. It is its permanent address."
        for heading in page.article.find_all(re.compile("^h[1-6]$"))
        if not heading.get("id")
    ]
    problems += [
        f"{page.name}: {found[0]!r}: write Markdown instead of HTML."
        for text in page.article.find_all(string=RAW_HTML)
        if not text.find_parent(["code", "pre"])
        and (found := RAW_HTML.search(text))
    ]
    return problems


def _is_used(file: Path, book: Book) -> bool:
    """Whether the suite runs or reads a file that a page shows.

    It does that with tests, recorded files, the files that a rule's test
    reaches, and those in `snippets/` that a test of the suite names.
    """
    if book.root / "tests" in file.parents:
        return True
    if file.relative_to(book.root).as_posix() in recorded.FILES:
        return True
    for rule in book.rules:
        if rule.room in file.parents:
            return file in syntax.reached(rule)
    return file.parent == book.root / "snippets" and any(
        syntax.names(test, file, file.parent)
        for test in (book.root / "tests").rglob("test_*.py")
    )


def text_of(file: Path, section: str | None) -> str | None:
    """What an include of a file, or of a named section of it, must show."""
    lines = file.read_text("utf-8").splitlines(keepends=True)
    if section is None:
        return "".join(lines).rstrip("\n")
    marks = [
        number
        for number, line in enumerate(lines)
        if (mark := SECTION_MARKER.search(line)) and mark[2] == section
    ]
    if len(marks) != 2:
        return None
    return "".join(lines[marks[0] + 1 : marks[1]]).rstrip("\n")


def section_problems(file: Path, root: Path) -> list[str]:
    """Check the section markers of a file: the includes do not.

    pymdownx shows the first of two sections with one name, everything to the
    file's end when an end marker is lost, and an empty block for an empty
    section, each without a word.
    """
    name = file.relative_to(root).as_posix()
    problems, open_section, content, seen = [], None, "", set()
    for line in file.read_text("utf-8").splitlines():
        mark = SECTION_MARKER.search(line)
        if not mark:
            content += line.strip()
            continue
        kind, section = mark.groups()
        if not re.fullmatch(r"\s*# --8<-- \[\w+:[\w-]+\]", line):
            problems.append(
                f"{name}: section {section}: put the marker on a line of its"
                " own; the reader does not see the line that it is on."
            )
        if kind == "start":
            if section in seen:
                problems.append(f"{name}: section {section} is used twice.")
            if open_section:
                problems.append(f"{name}: section {open_section} has no end.")
            seen.add(section)
            open_section, content = section, ""
        else:
            if section != open_section:
                problems.append(f"{name}: section {section} has no start.")
            elif not content:
                problems.append(f"{name}: section {section} is empty.")
            open_section = None
    if open_section:
        problems.append(f"{name}: section {open_section} has no end.")
    return problems


def _rule_problems(rule: Rule) -> list[str]:
    """Check the form that all rule pages share."""
    problems = []
    _ = rule.front_matter
    headings = {
        level: [
            (heading.get("id"), heading.get_text())
            for heading in rule.article.find_all(f"h{level}")
        ]
        for level in (1, 2, 3)
    }
    title = rule.title.replace("`", "")
    if headings[1] != [(rule.slug, title)]:
        problems.append(
            f"{rule.name}: begin with '# ... {{ #{rule.slug} }}': the rule as"
            " title, its slug as id."
        )
    if tuple(headings[2]) != HEADINGS:
        problems.append(
            f"{rule.name}: its headings are {headings[2]}; every rule page has"
            f" {HEADINGS}."
        )
    third_level = [text for _, text in headings[3]]
    if third_level != rule.symptoms or not third_level:
        problems.append(
            f"{rule.name}: its headings below 'Symptom' are {third_level};"
            " they must be exact texts, in backticks, at least one."
        )
    titles = {other.address: other.title for other in rule.book.rules}
    for link in rule.article.select("#see-also ~ ul a[href$='.md']"):
        address = normpath(f"{rule.path}/../{link['href']}")
        title = titles.get(f"{address.removesuffix('.md')}/", link.get_text())
        if " ".join(link.get_text().split()) != title.replace("`", ""):
            problems.append(
                f"{rule.name}: 'See also' calls {link['href']}"
                f" {link.get_text()!r}; a rule is named by its title:"
                f" {title!r}."
            )
    seen = [
        file.read_text("utf-8") for file in rule.files if file.suffix == ".out"
    ] + syntax.asserted(rule.test)
    for symptom in rule.symptoms:
        if not any(symptom in text for text in seen):
            problems.append(
                f"{rule.name}: symptom {symptom!r}: no output and no assertion"
                " of the rule has this text, so nobody may ever see it."
            )
    included = {match["path"] for match in rule.includes}
    for file in rule.files:
        path = file.relative_to(rule.book.root).as_posix()
        if path not in included:
            problems.append(f"{rule.name}: does not show {path}.")
    return problems


def program_problems(name: str, run: CompletedProcess[str]) -> list[str]:
    """Check how a program ended, by its process."""
    problems = []
    if run.returncode != 0:
        problems.append(f"{name}: ended with {run.returncode}:\n{run.stderr}")
    if "PrefectDeprecationWarning" in run.stderr:
        problems.append(f"{name}: uses what Prefect deprecates:\n{run.stderr}")
    return problems


def race_problems(
    name: str, run: CompletedProcess[str], again: CompletedProcess[str]
) -> list[str]:
    """Check that a second run of a program prints what the first one did."""
    if run.stdout == again.stdout:
        return []
    return [
        f"{name}: prints something else in each run. Recording would not help:"
        f" find the race.\nOne run:\n{run.stdout}\nAnother:\n{again.stdout}"
    ]


def recorded_problems(file: Path, text: str, root: Path) -> list[str]:
    """Check that a committed file holds what it must hold now."""
    committed = file.read_text("utf-8") if file.exists() else ""
    if committed == text:
        return []
    name = file.relative_to(root).as_posix()
    diff = difflib.unified_diff(
        committed.splitlines(), text.splitlines(), name, "now", lineterm=""
    )
    return [
        f"{name}: is not what it must be now. If the change is meant,"
        " `make record` rewrites it.\n" + "\n".join(diff)
    ]


def room_problems(book: Book) -> list[str]:
    """Check that page, programs and tests stand in step, both ways."""
    problems = []
    for rule in book.rules:
        rooms = [rule.file, rule.test, rule.room]
        problems += [
            f"{place.relative_to(book.root)}: missing. A rule has a page, a"
            f" folder of programs and a test: see {rule.name}."
            for place in rooms
            if not place.exists()
        ]
        stems = {file.stem for file in rule.files}
        problems += [
            f"{rule.room.relative_to(book.root)}: there is no {stem} program."
            for stem in ("dont", "do")
            if rule.room.exists() and stem not in stems
        ]
        problems += [
            f"{program.relative_to(book.root)}: has no recorded output. Run"
            " `make record`."
            for program in rule.programs
            if not program.with_suffix(".out").is_file()
        ]
    problems += [
        f"{program.relative_to(book.root)}: is the same as"
        f" {program.with_stem('dont').name}. They differ in the rule's point."
        for rule in book.rules
        for program in rule.files
        if program.stem == "do"
        and program.suffix != ".out"
        and (dont := program.with_stem("dont")).is_file()
        and dont.read_bytes() == program.read_bytes()
    ]
    pages = {rule.file for rule in book.rules}
    tests = {rule.test for rule in book.rules}
    rooms = {rule.room for rule in book.rules}
    for chapter in book.chapters:
        folder = chapter.name.replace("-", "_")
        docs = book.root / "docs" / chapter.name
        for page in sorted(docs.glob("*.md")):
            if page not in pages and page.name != "index.md":
                problems.append(
                    f"docs/{chapter.name}/{page.name}: not in the nav of"
                    " mkdocs.yml. Add it under its chapter."
                )
        for test in sorted((book.root / "tests" / folder).glob("*.py")):
            if test not in tests:
                problems.append(
                    f"tests/{folder}/{test.name}: has no rule page."
                )
        for room in sorted((book.root / "snippets" / folder).glob("*")):
            if room not in rooms and room.name != "__pycache__":
                problems.append(
                    f"snippets/{folder}/{room.name}: has no rule page."
                )
    return problems


# What may be skipped, and why. The page "How every example is proven" says it.
MAY_SKIP = {
    "tests/scaling/test_bound_the_thread_pool.py": "needs Linux's ulimit",
    "tests/scaling/test_run_postgres_not_sqlite.py": "needs PostgreSQL",
    "tests/site/conftest.py": "needs a browser",
}


def tests_problems(file: Path, root: Path) -> list[str]:
    """Check that each test of a file runs, and can fail."""
    name = file.relative_to(root).as_posix()
    problems = [
        f"{name}: {function}: there are two of that name, and Python runs only"
        " the second. Give one another name."
        for function in syntax.defined_twice(file)
    ]
    problems += [
        f"{name}: {function}: asserts nothing, so it cannot fail."
        for function in syntax.without_assertion(file)
    ]
    skips = syntax.skips(file)
    if skips and name not in MAY_SKIP:
        problems.append(
            f"{name}: {', '.join(skips)}: what is skipped stands in MAY_SKIP in"
            " tests/contract.py, with the reason that docs/about/index.md says."
        )
    return problems


def built_problems(page: Page, site: Path) -> list[str]:
    """Check the built page: each block is a tested text, word for word."""
    problems = []
    soup = built(page, site)
    shown = blocks_of(soup.select_one("article"))
    if shown != page.blocks:
        strange = [b for b in shown if b not in page.blocks] or shown
        problems.append(
            f"{page.name}: the built page shows blocks that are no tested file:"
            f" {strange}"
        )
    for pre in soup.select("article pre"):
        if not pre.find_parent(class_=re.compile("language-|doc-signature")):
            problems.append(
                f"{page.name}: the built page has code outside of a fence:"
                f" {pre.get_text()[:60]!r}"
            )
    if any(
        type(text) is NavigableString and not text.find_parent("code")
        for text in soup.select_one("article").find_all(string=UNMADE)
    ):
        problems.append(
            f"{page.name}: the reader sees an include or a comment."
        )
    return problems


def third_party_problems(html: Path, site: Path, own: str) -> list[str]:
    """Check that viewing a built page asks no other host for anything.

    Args:
        html: The built page.
        site: The folder of the built site.
        own: The site's own address (`site_url`).
    """
    soup = BeautifulSoup(html.read_text("utf-8"), "html.parser")
    name = html.relative_to(site).as_posix()
    loads = soup.select("script[src], img, iframe, source, link[href]")
    addresses = [
        str(tag.get("src") or tag.get("href") or "")
        for tag in loads
        if "canonical" not in (tag.get("rel") or [])
    ]
    return [
        f"{name}: loads {address} from another host. Ship the file in"
        " docs/assets instead."
        for address in addresses
        if re.match(r"(https?:)?//", address) and not address.startswith(own)
    ]


def permalinks(book: Book, site: Path) -> list[str]:
    """List every address of the built site: pages and their headings."""
    found = []
    for page in book.pages:
        address = page.address
        found.append(address)
        headings = built(page, site).select(
            ", ".join(f"article h{level}[id]" for level in range(1, 5))
        )
        found += [f"{address}#{heading['id']}" for heading in headings]
    return found


def permalink_problems(book: Book, site: Path, ledger: list[str]) -> list[str]:
    """Check that each address ever published still leads somewhere."""
    problems = []
    anchors: dict[str, set[str]] = {}
    for address in ledger:
        path, _, anchor = address.partition("#")
        if not (site / path / "index.html").is_file():
            problems.append(
                f"docs/permalinks.txt: {address}: the page is gone. Give it a"
                " line below redirect_maps in mkdocs.yml; published addresses"
                " keep working."
            )
            continue
        if path not in anchors:
            anchors[path] = {"", *_anchors(site / path / "index.html")}
        if anchor not in anchors[path]:
            problems.append(
                f"docs/permalinks.txt: {address}: the anchor is gone. Keep the"
                f" old id in the page, with [](){{ #{anchor} }}."
            )
    return problems


def _anchors(html: Path) -> list[str]:
    """The ids of a built page, or of the page that it redirects to."""
    soup = BeautifulSoup(html.read_text("utf-8"), "html.parser")
    refresh = soup.select_one("meta[http-equiv=refresh]")
    if refresh:
        target = str(refresh["content"]).partition("url=")[2]
        return _anchors(html.parent / target / "index.html")
    return [str(tag["id"]) for tag in soup.select("[id]")]


def built(page: Page, site: Path) -> Tag:
    html = site / page.address / "index.html"
    return BeautifulSoup(html.read_text("utf-8"), "html.parser")
