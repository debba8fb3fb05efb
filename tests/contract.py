"""The promise of the pages, as checks that return what breaks it.

Each function returns a list of problems, one line each, which begin with the
file's name and say what to do. An empty list is a promise kept. The suite
asserts empty lists for the book, and test_guards.py seeds each fault and
asserts that its line comes.
"""

from __future__ import annotations

import ast
import difflib
import re
from pathlib import Path
from posixpath import normpath
from subprocess import CompletedProcess

import pytest
from bs4 import BeautifulSoup, Tag

from tests import recorded
from tests.book import INCLUDE, SECTION_MARKER, Book, Page, Rule

HEADINGS = (
    ("symptom", "Symptom"),
    ("dont", "Don't"),
    ("what-happens", "What happens"),
    ("do", "Do"),
    ("when-to-break-the-rule", "When to break the rule"),
    ("proof", "Proof"),
    ("see-also", "See also"),
)
FENCE = re.compile(
    r'\s*(?P<ticks>`{3,})(?P<info>(?P<language>\w+) title="[^"]+")?'
)
FENCE_LIKE = re.compile(r"\s*(`{3,}|~{3,})")
HEADING = re.compile(r"^#{1,6} (?P<text>.+?)( \{ #(?P<id>[\w.-]+) \})?$")
RAW_HTML = re.compile(
    r"<(pre|code|script|iframe|style|img|a|object|embed)\b", re.I
)
LINK = re.compile(r"\[([^\]]+)\]\(([\w./-]+\.md)\)")
OUTPUT_MARK = "<!--pytest-codeblocks:expected-output-->"
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
    """Check the source of one page: blocks, includes, headings, raw HTML."""
    return [
        *_source_problems(page),
        *_block_problems(page),
        *(_rule_problems(page) if isinstance(page, Rule) else []),
    ]


def _source_problems(page: Page) -> list[str]:
    problems = []
    inside: str | None = None
    content: list[str] = []
    for number, line in enumerate(page.body.split("\n"), 1):
        where = f"{page.name}: {line.strip()!r}"
        if inside is None:
            if FENCE_LIKE.match(line):
                fence = FENCE.fullmatch(line)
                if not fence or not fence["info"]:
                    problems.append(
                        f'{where}: write the fence as ```python title="do.py",'
                        " in backticks, with a language and a title."
                    )
                inside, content = line.split("`")[0] + "```", []
            elif "8<--" in line:
                problems.append(f"{where}: an include stands inside a fence.")
            elif line.startswith("#"):
                heading = HEADING.match(line)
                if heading and not heading["id"]:
                    problems.append(
                        f"{where}: give the heading an id, as in"
                        " '## Do { #do }'. It is its permanent address."
                    )
            elif RAW_HTML.search(re.sub(r"`[^`]*`", "", line)):
                problems.append(f"{where}: write Markdown instead of HTML.")
        elif FENCE_LIKE.match(line):
            if len(content) != 1 or not INCLUDE.fullmatch(content[0]):
                problems.append(
                    f"{page.name}: the block that ends on line {number} of the"
                    " body is typed in. A block holds one line, an include of a"
                    ' tested file: --8<-- "snippets/..." or'
                    ' --8<-- "snippets/...:section".'
                )
            inside = None
        else:
            content.append(line)
    return problems


def _block_problems(page: Page) -> list[str]:
    """Check what the page shows against the files behind it."""
    missing = []
    for match in page.includes:
        path, section = match["path"], match["section"]
        file = page.book.root / path
        if not file.is_file():
            missing.append(f"{page.name}: includes {path}: no such file.")
        elif text_of(file, section) is None:
            missing.append(
                f"{page.name}: includes {path}:{section}: the file has no such"
                " section."
            )
    if missing:
        return missing
    problems = []
    shown = [(b.info, b.code) for b in page.blocks]
    outputs = [b.output for b in page.blocks if b.output is not None]
    program_before = None
    expected_outputs = 0
    for match in page.includes:
        path = match["path"]
        file = page.book.root / path
        problems += section_problems(file, page.book.root)
        text = text_of(file, match["section"])
        languages = LANGUAGES.get(file.suffix, set())
        if file.suffix == ".out":
            expected_outputs += 1
            if text not in outputs:
                problems.append(
                    f"{page.name}: the output {path} must stand below its"
                    f" program, marked {OUTPUT_MARK}."
                )
            if program_before != file.with_suffix(".py"):
                problems.append(
                    f"{page.name}: the output {path} follows another program."
                )
        elif not any(
            code == text and info.partition(" ")[0] in languages
            for info, code in shown
        ):
            problems.append(
                f"{page.name}: includes {path}, but shows something else, or"
                f" under another name than {' or '.join(sorted(languages))}."
            )
        if not _is_tested(file, page.book):
            problems.append(
                f"{page.name}: includes {path}, which no test runs or names."
            )
        program_before = file
    if len(page.includes) != len(shown) + len(outputs):
        problems.append(
            f"{page.name}: {len(shown) + len(outputs)} blocks, but"
            f" {len(page.includes)} includes. Each block is one include."
        )
    if expected_outputs != len(outputs):
        problems.append(
            f"{page.name}: {len(outputs)} blocks are marked as output, but"
            f" {expected_outputs} are a program's .out file."
        )
    return problems


def _is_tested(file: Path, book: Book) -> bool:
    """A program that runs, its output, a test, or a file that a test names."""
    if book.root / "tests" in file.parents:
        return True
    if file.relative_to(book.root).as_posix() in recorded.FILES:
        return True
    for rule in book.rules:
        if rule.room in file.parents:
            program = file.with_suffix(".py")
            return program in rule.programs or (
                rule.test.is_file()
                and file.name in rule.test.read_text("utf-8")
            )
    return file.parent == book.root / "snippets" and any(
        file.name in test.read_text("utf-8")
        for test in (book.root / "tests").glob("test_*.py")
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
    matter = rule.front_matter
    headings = [
        (line.split(" ")[0], match["id"], match["text"])
        for line in rule.body.split("\n")
        if line.startswith("#") and (match := HEADING.match(line))
    ]
    if headings[:1] != [("#", rule.slug, rule.title)]:
        problems.append(
            f"{rule.name}: begin with '# ... {{ #{rule.slug} }}': the rule as"
            " title, its slug as id."
        )
    second_level = tuple(h[1:] for h in headings if h[0] == "##")
    if second_level != HEADINGS:
        problems.append(
            f"{rule.name}: its headings are {second_level}; every rule page"
            f" has {HEADINGS}."
        )
    third_level = [h[2].strip("`") for h in headings if h[0] == "###"]
    if sorted(third_level) != sorted(matter.symptoms):
        problems.append(
            f"{rule.name}: its headings below 'Symptom' are {third_level};"
            f" they must be the symptoms of the front matter, in backticks:"
            f" {matter.symptoms}."
        )
    paragraphs = [p for p in rule.body.split("\n\n") if p.strip()]
    if " ".join(paragraphs[1].split()) != matter.description:
        problems.append(
            f"{rule.name}: the sentence below the title must be the"
            " front matter's description, word for word."
        )
    titles = {other.path: other.title for other in rule.book.rules}
    for text, path in LINK.findall(rule.body.partition("## See also")[2]):
        title = titles.get(normpath(f"{rule.path}/../{path}"), text)
        if " ".join(text.split()) != title:
            problems.append(
                f"{rule.name}: 'See also' calls {path} {text!r}; a rule is"
                f" named by its title: {title!r}."
            )
    printed = "".join(
        file.read_text("utf-8") for file in rule.files if file.suffix == ".out"
    ) + "".join(_strings(rule.test))
    for symptom in matter.symptoms:
        if symptom not in printed:
            problems.append(
                f"{rule.name}: symptom {symptom!r}: no output and no test of"
                " the rule has this text, so nobody may ever see it."
            )
    included = {match["path"] for match in rule.includes}
    for file in rule.files:
        path = file.relative_to(rule.book.root).as_posix()
        if path not in included:
            problems.append(f"{rule.name}: does not show {path}.")
    return problems


def _strings(file: Path) -> list[str]:
    """All strings of a Python file, those in several parts put together."""
    if not file.is_file():
        return []
    return [
        node.value
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def program_problems(name: str, run: CompletedProcess[str]) -> list[str]:
    """Check how a program ended, by its process."""
    problems = []
    if run.returncode != 0:
        problems.append(f"{name}: ended with {run.returncode}:\n{run.stderr}")
    if "PrefectDeprecationWarning" in run.stderr:
        problems.append(f"{name}: uses what Prefect deprecates:\n{run.stderr}")
    return problems


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


def built_problems(page: Page, site: Path) -> list[str]:
    """Check the built page: each block is a tested text, word for word."""
    problems = []
    soup = built(page, site)
    allowed = [
        text
        for block in page.blocks
        for text in (block.code, block.output)
        if text is not None
    ]
    shown = [
        block.get_text().rstrip("\n")
        for block in soup.select("article div[class*=language-] code")
        if not block.find_parent(class_="doc-signature")
    ]
    if shown != allowed:
        strange = [text for text in shown if text not in allowed] or shown
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
    text = soup.select_one("article").get_text()
    if "8<--" in text or "<!--" in text:
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
