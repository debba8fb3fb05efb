"""The promise of the pages, as checks that return what breaks it.

Each function returns a list of problems, one line each, which begin with the
file's name and say what to do. An empty list is a promise kept. The suite
asserts empty lists for the book, and test_guards.py seeds each fault and
asserts that its line comes.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from pathlib import Path
from posixpath import normpath
from subprocess import CompletedProcess

import pytest

from tests import recorded, syntax
from tests.book import Book, Page, Rule

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
SECTION_MARKER = re.compile(r"--8<-- \[(start|end):([\w-]+)\]")
SECTION = re.compile(
    r"^ *# --8<-- \[start:([\w-]+)\]\n"
    r"((?:(?!.*--8<--).*\n)*)"
    r"^ *# --8<-- \[end:\1\]$",
    re.MULTILINE,
)
# What a fence says of the file behind it, where that is not the file's ending.
LANGUAGES = {
    ".py": "python",
    ".out": "text",
    ".txt": "text",
    ".in": "text",
    ".yml": "yaml",
    ".md": "markdown",
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
        language = LANGUAGES.get(file.suffix, file.suffix[1:])
        if block.language != language or not block.title:
            problems.append(
                f"{page.name}: the block of {path}: write its fence as"
                f' ```{language} title="{file.name}", with language and title.'
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
    text = file.read_text("utf-8")
    if section is not None:
        text = dict(SECTION.findall(text)).get(section)
    return text and text.rstrip("\n")


def section_problems(file: Path, root: Path) -> list[str]:
    """Check the section markers of a file: the includes do not.

    pymdownx shows the first of two sections with one name, everything to the
    file's end when an end marker is lost, and an empty block for an empty
    section, each without a word.
    """
    text = file.read_text("utf-8")
    sections = SECTION.findall(text)
    problems = [
        f"section {section} is used twice."
        for section, times in Counter(name for name, _ in sections).items()
        if times > 1
    ]
    problems += [
        f"section {section} is empty."
        for section, content in sections
        if not content.strip()
    ]
    problems += [
        f"section {marker[2]}: its {marker[1]} is not one of a pair of lines,"
        f" `# --8<-- [start:{marker[2]}]` and `# --8<-- [end:{marker[2]}]`,"
        " with no other marker in between."
        for marker in SECTION_MARKER.finditer(SECTION.sub("", text))
    ]
    name = file.relative_to(root).as_posix()
    return [f"{name}: {problem}" for problem in problems]


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
        stems = {file.stem for file in rule.files if file.suffix != ".out"}
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


def tests_problems(file: Path, root: Path) -> list[str]:
    """Check that each test of a file can fail."""
    name = file.relative_to(root).as_posix()
    return [
        f"{name}: {function}: asserts nothing, so it cannot fail."
        for function in syntax.without_assertion(file)
    ]
