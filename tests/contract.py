"""The promise of the pages, as checks that say what breaks it.

Each function yields problems, one line each, which begin with the file's name
and say what to do. No problem is a promise kept. The suite asserts that for the
book, and test_guards.py seeds each fault and asserts that its line comes.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import normpath
from subprocess import CompletedProcess

import pytest

from tests import recorded, sentences, syntax
from tests.book import SECTION, Book, Page, Rule, text_of

# Only if a machine can: if the rule has something for ast-grep.
ENFORCE = ("enforce-it", "Enforce it")
HEADINGS = [
    ("symptom", "Symptom"),
    ("dont", "Don't"),
    ("what-happens", "What happens"),
    ("do", "Do"),
    ("when-to-break-the-rule", "When to break the rule"),
    ENFORCE,
    ("proof", "Proof"),
    ("see-also", "See also"),
]
# The parts that a page must leave to the recorder, by its path; a rule page
# and the first page of a chapter have theirs too.
RECORDED_PARTS = {
    "index.md": {"edition", "look", "chapters", "contents"},
    "changes.md": {"changes"},
    "checklist.md": {"checklist"},
    "symptoms.md": {"symptoms", "states"},
    "decisions.md": {"decisions"},
    "coming-from-prefect-2.md": {"prefect_2"},
    "which-prefect.md": {"compat"},
    "enforce.md": {"linter"},
}
COMMENT = re.compile(
    r"<!--(?! recorded: \w+(?: [\w-]+)? -->| /recorded -->"
    r"| decision: [^\n]+ -->)\s*(.{,40})",
    re.DOTALL,
)
# What a program prints and another run of it would not.
PASSING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-|0x[0-9a-f]{6,}|/tmp/|\d\d:\d\d:\d\d\.\d{3}"
)
DAY = re.compile(r"(20\d\d)-0?(\d+)-\d\d")
# The fewest words that a rule can be explained with.
WORDS = 200
# Markdown says these; only a line break in a list has no other sign.
RAW_HTML = re.compile(r"<(?!br\b)/?[a-z][^>]*>", re.I)
SECTION_MARKER = re.compile(r"--8<-- \[(start|end):([\w-]+)\]")
# What a fence says of the file behind it, where that is not the file's ending.
LANGUAGES = {
    ".py": "python",
    ".out": "text",
    ".txt": "text",
    ".in": "text",
    ".yml": "yaml",
    ".md": "markdown",
    ".conf": "nginx",
    "": "docker",
}


def report(problems: Iterable[str]) -> None:
    """Fail the test with what a check found, if anything."""
    if found := "\n".join(problems):
        pytest.fail(found, pytrace=False)


def page_problems(page: Page) -> Iterator[str]:
    """Check one page as the site's Markdown renders it, and its includes."""
    lost = False
    for found in page.includes:
        file = page.book.root / found["path"]
        if not file.is_file():
            lost = True
            yield f"{page.name}: includes {found['path']}: no such file."
        elif text_of(file, found["section"]) is None:
            lost = True
            yield (
                f"{page.name}: includes {found['path']}:{found['section']}: the"
                " file has no such section."
            )
    if lost:
        return
    for path in {found["path"]: None for found in page.includes}:
        yield from section_problems(page.book.root / path, path)
    yield from _block_problems(page)
    yield from _text_problems(page)
    yield from _link_problems(page)
    if isinstance(page, Rule):
        yield from _rule_problems(page)


def _block_problems(page: Page) -> Iterator[str]:
    """Check that each block is an include of a tested file, and says which."""
    root = page.book.root
    includes = [(root / i["path"], i["section"]) for i in page.includes]
    made = recorded.blocks(page)
    above: Path | None = None
    for block in page.blocks:
        if block.text in made:
            continue
        shown = [
            i for i in includes if text_of(*i) == block.text and block.text
        ]
        if not shown:
            yield (
                f"{page.name}: the block {block.title!r} ({block.text[:40]!r})"
                " is typed in. A block holds one line, an include of a tested"
                ' file: --8<-- "snippets/..." or --8<-- "snippets/...:section".'
            )
            continue
        includes.remove(shown[0])
        file = shown[0][0]
        path = file.relative_to(root).as_posix()
        language = LANGUAGES.get(file.suffix, file.suffix[1:])
        if block.language != language or not _names(block.title, file, page):
            yield (
                f"{page.name}: the block of {path}: write its fence as"
                f' ```{language} title="{file.name}", with language and title.'
            )
        if file.suffix == ".out" and above != file.with_suffix(".py"):
            yield f"{page.name}: the output {path} must be below its program."
        if not _is_used(file, page.book):
            yield f"{page.name}: includes {path}, which no test runs or reads."
        above = file
    for file, _ in includes:
        path = file.relative_to(root)
        if file.suffix == ".md" and _is_used(file, page.book):
            continue  # a table that a test records
        yield f"{page.name}: includes {path} outside of a block of its own."


def _names(title: str, file: Path, page: Page) -> bool:
    """Whether the bar above a block says which file it is."""
    if not isinstance(page, Rule):
        return bool(title)
    if title == "Output":
        return file.suffix in (".out", ".txt")
    name = title.partition(", saved as ")[0].lstrip("✗✓ ")
    return name == file.name or file.as_posix().endswith(f"/{name}")


def _link_problems(page: Page) -> Iterator[str]:
    """Check that a link or a picture shows what it says."""
    pages = {other.address: other for other in page.book.pages}
    titles = {_spoken(other.title): other for other in pages.values()}
    for link in page.article.select("a[href]"):
        said = titles.get(_spoken(link.get_text()))
        if said is None or "://" in link["href"]:
            continue
        path = link["href"].partition("#")[0]
        to = normpath(f"{page.path}/../{path}") if path else page.path
        if to != said.path:
            yield (
                f"{page.name}: a link called {said.title!r} leads to {to}; that"
                f" is the title of {said.path}."
            )
    for picture in page.article.select("img[src]"):
        words = Path(picture["src"]).stem.split("-")
        if not all(
            re.search(rf"\b{word}\b", picture.get("alt", ""), re.I)
            for word in words
        ):
            yield (
                f"{page.name}: the text of the picture {picture['src']} does"
                f" not speak of {' '.join(words)!r}. A picture is named after"
                " what it shows."
            )


def _spoken(title: str) -> str:
    return " ".join(title.replace("`", "").split()).lower()


def _text_problems(page: Page) -> Iterator[str]:
    """Check the headings, and that nothing in the text is raw HTML."""
    for found in COMMENT.finditer(page.body):
        yield (
            f"{page.name}: the comment {found[1]!r} hides text from the reader."
            " Show it, or take it away."
        )
    marked = {part["name"] for part in recorded.PART.finditer(page.body)}
    wanted = RECORDED_PARTS.get(page.path, set())
    if isinstance(page, Rule):
        wanted = {"reason", "asked", "proof"}
        wanted |= {"enforced"} if page.enforcement.exists() else set()
    for chapter in page.book.chapters:
        if page in chapter.pages:
            wanted = {"rules" if page == chapter.index else "tests"}
    for name in sorted(wanted - marked):
        yield (
            f"{page.name}: has no part '<!-- recorded: {name} -->' with"
            " '<!-- /recorded -->' below it."
        )
    for heading in page.article.find_all(re.compile("^h[1-6]$")):
        if not heading.get("id"):
            yield (
                f"{page.name}: {heading.get_text()!r}: give the heading an id,"
                " as in '## Do { #do }'. It is its permanent address."
            )
    for text in page.article.find_all(string=RAW_HTML):
        if not text.find_parent(["code", "pre"]):
            html = RAW_HTML.search(text)[0]
            yield f"{page.name}: {html!r}: write Markdown instead of HTML."


def _is_used(file: Path, book: Book) -> bool:
    """Whether the suite runs or reads a file that a page shows.

    It does that with tests, recorded files, the files that a rule's test
    reaches, and those in `snippets/` that a test of the suite names. Those of
    the starter it unpacks and runs together.
    """
    tests, snippets = book.root / "tests", book.root / "snippets"
    if tests in file.parents or snippets / "starter" in file.parents:
        return True
    if file.relative_to(book.root).as_posix() in recorded.FILES:
        return True
    for rule in book.rules:
        if rule.room in file.parents:
            return file in {rule.enforcement, *syntax.reached(rule)}
    return snippets in file.parents and any(
        syntax.names(test, file, snippets) for test in tests.rglob("test_*.py")
    )


def section_problems(file: Path, name: str) -> Iterator[str]:
    """Check the section markers of a file: the includes do not.

    pymdownx shows the first of two sections with one name, everything to the
    file's end when an end marker is lost, and an empty block for an empty
    section, each without a word.
    """
    text = file.read_text("utf-8")
    sections = SECTION.findall(text)
    for section, times in Counter(name for name, _ in sections).items():
        if times > 1:
            yield f"{name}: section {section} is used twice."
    for section, content in sections:
        if not content.strip():
            yield f"{name}: section {section} is empty."
    for kind, section in SECTION_MARKER.findall(SECTION.sub("", text)):
        yield (
            f"{name}: section {section}: its {kind} is not one of a pair of"
            f" lines, `# --8<-- [start:{section}]` and"
            f" `# --8<-- [end:{section}]`, with no other marker in between."
        )


def _rule_problems(rule: Rule) -> Iterator[str]:
    """Check the form that all rule pages share."""
    _ = rule.front_matter
    first, second, third = (
        [
            (h.get("id"), h.get_text())
            for h in rule.article.find_all(f"h{level}")
        ]
        for level in (1, 2, 3)
    )
    if first != [(rule.slug, rule.title.replace("`", ""))]:
        yield (
            f"{rule.name}: begin with '# ... {{ #{rule.slug} }}': the rule as"
            " title, its slug as id."
        )
    wanted = [h for h in HEADINGS if h != ENFORCE or rule.enforcement.exists()]
    if second != wanted:
        yield (
            f"{rule.name}: its headings are {second}; it must have {wanted}."
        )
    said = [text for _, text in third]
    if said != rule.asked + rule.symptoms or not rule.symptoms:
        yield (
            f"{rule.name}: its headings below 'Symptom' are {third}; below what"
            " is asked they must be exact texts, in backticks, at least one."
        )
    for line in rule.asked:
        if [r for r in rule.book.rules if line in r.asked] != [rule]:
            yield (
                f"{rule.name}: asked: {line!r} leads to several rules. Say what"
                " is different here."
            )
    twice = [r.name for r in rule.book.rules if r.title == rule.title]
    if len(twice) > 1:
        yield f"{rule.name}: has the same title as {twice}."
    for block in rule.article.select("div[class*=language-]"):
        title = block.select_one(".filename")
        section = block.find_previous("h2")
        for side, wrong in (("dont", "do"), ("do", "dont")):
            if (
                section
                and section.get("id") == wrong
                and title
                and title.get_text().startswith(f"{side}.")
            ):
                yield (
                    f"{rule.name}: shows {title.get_text()} below"
                    f" {section.get_text()!r}."
                )
    words = len(sentences.reduced(recorded.PART.sub("", rule.body))[0].split())
    if words < WORDS:
        yield (
            f"{rule.name}: has {words} words around its programs. A reader"
            f" needs at least {WORDS} to know why and where."
        )
    titles = {other.address: other.title for other in rule.book.rules}
    for link in rule.article.select("#see-also ~ ul a[href$='.md']"):
        said = " ".join(link.get_text().split())
        address = normpath(f"{rule.path}/../{link['href']}")
        title = titles.get(f"{address.removesuffix('.md')}/", said)
        if said != title.replace("`", ""):
            yield (
                f"{rule.name}: 'See also' calls {link['href']} {said!r}; a rule"
                f" is named by its title: {title!r}."
            )
    yield from sentences.sentence_problems(rule)
    outputs = [file for file in rule.files if file.suffix == ".out"]
    seen = [file.read_text("utf-8") for file in outputs]
    seen += syntax.asserted(rule.test)
    for symptom in rule.symptoms:
        if not any(symptom in text for text in seen):
            yield (
                f"{rule.name}: symptom {symptom!r}: no output and no assertion"
                " of the rule has this text, so nobody may ever see it."
            )
    for program in rule.programs:
        path = program.relative_to(rule.book.root).as_posix()
        for function in syntax.uncalled(program):
            yield f"{path}: never calls {function}, which it shows."
        for call in syntax.typed_results(program):
            yield (
                f"{path}: {call}: no work has produced what it prints. Print"
                " what the program knows then."
            )
    told = "".join(f.read_text("utf-8") for f in rule.files if f not in outputs)
    for output in outputs:
        text = output.read_text("utf-8")
        passing = PASSING.findall(text)
        passing += [
            day[0]
            for day in DAY.finditer(text)
            if not re.search(rf"{day[1]}\D+0?{day[2]}\b", told)
        ]
        for said in passing:
            yield (
                f"{output.relative_to(rule.book.root)}: {said!r} is of one run."
                " Print what is the same in all."
            )
    included = {found["path"] for found in rule.includes}
    for file in rule.files:
        path = file.relative_to(rule.book.root).as_posix()
        if path not in included:
            yield f"{rule.name}: does not show {path}."


def program_problems(name: str, run: CompletedProcess[str]) -> Iterator[str]:
    """Check how a program ended, by its process."""
    if run.returncode != 0:
        yield f"{name}: ended with {run.returncode}:\n{run.stderr}"
    if "PrefectDeprecationWarning" in run.stderr:
        yield f"{name}: uses what Prefect deprecates:\n{run.stderr}"


def left_problems(
    program: Path, found: Iterable[tuple[str, str, str]], root: Path
) -> Iterator[str]:
    """Check that a program has left nothing of its own on the server.

    Args:
        program: The program that has ended.
        found: What stands there now and did not before, see `observe.kept`.
            Others may have made some of it.
        root: The repository.
    """
    room = [f.read_text("utf-8") for f in program.parent.glob("*.*")]
    for kind, name, _ in found:
        alone = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        if any(map(alone.search, room)):
            yield (
                f"{program.relative_to(root)}: leaves the {kind} {name!r} on"
                " the server. A reader who runs it has it there from then on:"
                " take it away in the end."
            )


def race_problems(
    name: str, run: CompletedProcess[str], again: CompletedProcess[str]
) -> Iterator[str]:
    """Check that a second run of a program prints what the first one did."""
    if run.stdout != again.stdout:
        yield (
            f"{name}: prints something else in each run. Recording would not"
            f" help: find the race.\nOne run:\n{run.stdout}\n"
            f"Another:\n{again.stdout}"
        )


def as_bytes(made: str | bytes) -> bytes:
    """What a file holds that is made as text, or as it is."""
    return made if isinstance(made, bytes) else made.encode()


def recorded_problems(
    file: Path, made: str | bytes, root: Path
) -> Iterator[str]:
    """Check that a committed file holds what it must hold now."""
    committed = file.read_bytes() if file.exists() else b""
    if committed != as_bytes(made):
        name = file.relative_to(root).as_posix()
        diff: Iterable[str] = ["A file that is no text."]
        if isinstance(made, str):
            lines = committed.decode().splitlines(), made.splitlines()
            diff = difflib.unified_diff(*lines, name, "now", lineterm="")
        yield (
            f"{name}: is not what it must be now. If the change is meant,"
            " `make record` rewrites it.\n" + "\n".join(diff)
        )


def room_problems(book: Book) -> Iterator[str]:
    """Check that page, programs and tests stand in step, both ways."""
    rooms = {
        place: rule
        for rule in book.rules
        for place in (rule.file, rule.test, rule.room)
    }
    for place, rule in rooms.items():
        if not place.exists():
            yield (
                f"{place.relative_to(book.root)}: missing. A rule has a page, a"
                f" folder of programs and a test: see {rule.name}."
            )
    for rule in book.rules:
        room = rule.room.relative_to(book.root)
        files = [file for file in rule.files if file.suffix != ".out"]
        for stem in ("dont", "do"):
            if stem not in {file.stem for file in files} and rule.room.exists():
                yield f"{room}: there is no {stem} program."
        for program in rule.programs:
            if not program.with_suffix(".out").is_file():
                yield (
                    f"{room}/{program.name}: has no recorded output. Run"
                    " `make record`."
                )
        for file in files:
            dont = file.with_stem("dont")
            same = dont in files and dont.read_bytes() == file.read_bytes()
            if file.stem == "do" and same:
                yield (
                    f"{room}/{file.name}: is the same as {dont.name}. They"
                    " differ in the rule's point."
                )
    for chapter in book.chapters:
        folder = chapter.name.replace("-", "_")
        own = {page.file for page in chapter.pages}
        for place in (
            *(book.root / "docs" / chapter.name).glob("*.md"),
            *(book.root / "tests" / folder).glob("*.py"),
            *(book.root / "snippets" / folder).glob("[!_]*"),
        ):
            if place not in rooms and place not in own:
                yield (
                    f"{place.relative_to(book.root)}: is of no rule in the nav"
                    " of mkdocs.yml. Add its page there, or take it away."
                )


def tests_problems(file: Path, root: Path) -> Iterator[str]:
    """Check that each test of a file can fail."""
    for function in syntax.without_assertion(file):
        yield (
            f"{file.relative_to(root).as_posix()}: {function}: asserts nothing,"
            " so it cannot fail."
        )
