"""The parts of pages that are made from other files, as Markdown.

A page marks such a part, and the suite compares what stands there with what
these functions return:

    <!-- recorded: rules -->
    ...
    <!-- /recorded -->
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from tests import bundle, precision, sentences, sides, syntax
from tests.book import (
    BOOK,
    CHECKED,
    LEVELS,
    SEEN,
    Book,
    BookError,
    Chapter,
    Page,
    Rule,
)
from tests.editions import changes, editions, feed

PART = re.compile(
    r"(?P<start><!-- recorded: (?P<name>\w+)(?: (?P<of>[\w-]+))? -->\n)"
    r".*?"
    r"(?P<end><!-- /recorded -->)",
    re.DOTALL,
)
DECISION = re.compile(
    r"<!-- decision: (?P<question>.+) -->\n\n"
    r"(?:--8<-- \"(?P<seen>.+)\"|(?P<typed>(?:\|.*\n)+))"
)

HELD = "✓"

# What names of test functions cannot write as people do.
ACRONYMS = {"api", "ci", "json", "sla", "url", "utc", "yaml"}
PROPER = {name: name.upper() for name in ACRONYMS} | {
    "postgres": "PostgreSQL",
    "prefect": "Prefect",
    "redis": "Redis",
    "sqlite": "SQLite",
}


def prefect() -> str:
    """The version of Prefect that everything runs on."""
    return metadata.version("prefect")


def with_recorded_parts(page: Page) -> str:
    """Return the page's source with each recorded part made anew.

    Raises:
        BookError: If the page marks a part that nothing makes.
    """

    def made(part: re.Match[str]) -> str:
        make = PARTS.get(part["name"])
        if make is None:
            raise BookError(
                f"{page.name}: recorded: {part['name']}: there is no such part."
                f" Choose from: {', '.join(PARTS)}."
            )
        made = make(page, part["of"]) if part["of"] else make(page)
        return f"{part['start']}\n{made.strip()}\n\n{part['end']}"

    source = PART.sub(made, page.source)
    if not isinstance(page, Rule):
        return source
    return sentences.with_marks(page, sides.with_sides(page, source))


def blocks(page: Page) -> set[str]:
    """The blocks of a page that show no file, because they are made."""
    looked_at = {part["of"] for part in PART.finditer(page.body)}
    made = set()
    for rule in page.book.rules:
        if rule == page:
            made |= {sides.run_line(rule, file) for file in rule.programs}
        if rule == page or rule.slug in looked_at:
            made |= {diff for _, diff in sides.differences(rule)}
    return made


def edition(page: Page) -> str:
    """What ran, on which Prefect, and when."""
    rules = page.book.rules
    programs = sum(len(rule.programs) for rule in rules)
    tests = sum(len(claims_of(rule.test)) for rule in rules)
    newest = editions(page.book)[0]
    return (
        f"**{len(rules)} rules, {programs} programs and {tests} tests ran on"
        f" Prefect {prefect()}, {newest.date:%B %Y}.**"
    )


def reason(page: Page) -> str:
    """Why a rule is one, what it changes, where it holds and what proves it."""
    assert isinstance(page, Rule)
    tests = len(claims_of(page.test))
    said = page.front_matter
    return (
        f"{page.description}\n\n{sides.look(page)}\n\n"
        f"{CHECKED[said.checked]}: {said.check}\n{{ .check }}\n\n"
        f"{said.level.capitalize()}."
        f" Proven by [{tests} {'tests' if tests > 1 else 'test'}](#proof); a ✓"
        " leads from a sentence to its test."
        f" Applies to {_listed(said.applies_to)}."
        "\n{ .proven data-search-exclude }"
    )


def asked(page: Page) -> str:
    """What readers in need of a rule type: headings, so that they are found."""
    assert isinstance(page, Rule)
    return "\n\n".join(
        f"### {line} {{ #asked-{number} .asked }}"
        for number, line in enumerate(page.asked, 1)
    )


def look(page: Page, slug: str) -> str:
    """How the two sides of a rule differ, for a page that is not the rule's."""
    try:
        (rule,) = (rule for rule in page.book.rules if rule.slug == slug)
    except ValueError as error:
        raise BookError(
            f"{page.name}: recorded: look {slug}: no such rule."
        ) from error
    return f"{sides.look(rule)}\n\nThe rule: [{rule.title}]({rule.path})."


def enforced(page: Page) -> str:
    """What finds the harm of a rule in code, and how often it found some."""
    assert isinstance(page, Rule)
    file = page.enforcement.relative_to(page.book.root).as_posix()
    of = len(precision.measured(page.book)["repositories"])
    found = precision.found(page)
    seen = (
        f"It found this {_times(sum(found.values()))} in {len(found)} of {of}"
        " public repositories that use Prefect."
        if found
        else f"It found this in none of {of} public repositories that use"
        " Prefect."
    )
    return f"""\
A linter finds this in your repository: [Enforce it](../enforce.md). {seen}

/// details | The rule for ast-grep

```yaml title="enforce.yml"
--8<-- "{file}"
```

///
"""


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def linter(page: Page) -> str:
    """What the linter finds, and how it did on the code of others."""
    book = page.book
    repositories = precision.measured(book)["repositories"]
    read = precision.verdicts(book)
    found = {rule: precision.found(rule) for rule in book.enforced}
    common = sorted(found, key=lambda rule: len(found[rule]), reverse=True)
    rows = [
        [
            f"[{rule.title}]({rule.path})",
            str(len(found[rule])),
            str(sum(found[rule].values())),
            *(str(read[rule.slug][verdict]) for verdict in precision.VERDICTS),
        ]
        for rule in common
        if found[rule]
    ]
    right, wrong, unclear = (
        sum(said[verdict] for said in read.values())
        for verdict in precision.VERDICTS
    )
    total = sum(sum(counts.values()) for counts in found.values())
    rare = "".join(
        f"- [{rule.title}]({rule.path})\n" for rule in common if not found[rule]
    )
    listed = "".join(
        f"- {name}, commit `{commit[:12]}`\n"
        for name, commit in repositories.items()
    )
    return (
        f"The {len(found)} rules found {total} places in {len(repositories)}"
        " public repositories that use Prefect. Of the"
        f" {right + wrong + unclear} that were read, {right} were right,"
        f" {wrong} wrong and {unclear} unclear.\n\n"
        + as_table(
            ["Rule", "Repositories", "Findings"]
            + [verdict.capitalize() for verdict in precision.VERDICTS],
            rows,
        )
        + f"\nNot found there:\n\n{rare}\n/// details | The repositories, each"
        f" with its commit\n\n{listed}\n///"
    )


def proof(page: Page) -> str:
    """What proves a rule: the claims, and where their tests stand."""
    assert isinstance(page, Rule)
    claims = "\n".join(
        f"{number}. {claim}\n   {{ #proof-{number} }}"
        for number, claim in enumerate(claims_of(page.test), 1)
    )
    cloud = (
        " Not run on Prefect Cloud: that needs an account."
        if "Cloud" in page.front_matter.applies_to
        else " It does not apply to Prefect Cloud."
    )
    ran = "".join(f"\n\n{said}" for said in [*_older(page), *_changed(page)])
    return f"""\
Proven with an open-source server.{cloud}{ran}

{claims}

[Read the tests](tests.md#{page.slug}).
"""


def tests(page: Page) -> str:
    """The tests of the rules of the page's chapter."""
    chapter = _chapter_of(page)
    files = {
        rule: rule.test.relative_to(page.book.root).as_posix()
        for rule in chapter.rules
    }
    return "\n\n".join(
        f"## {rule.title} {{ #{rule.slug} }}\n\n"
        f"What they say is under [Proof]({rule.slug}.md#proof).\n\n"
        f'```python title="{file}"\n--8<-- "{file}"\n```'
        for rule, file in files.items()
    )


def _older(rule: Rule) -> Iterator[str]:
    """What older versions of Prefect showed of a rule."""
    if held := [v for v, failed in results(rule).items() if not failed]:
        yield (
            f"The same tests and programs passed on Prefect {_listed(held)}."
        )
    claims = claims_of(rule.test)
    for difference, where in differences(rule):
        what = [
            f"claim {claims.index(name) + 1}" if name in claims else name
            for name in difference["what"]
        ]
        yield (
            f"On Prefect {_listed(where)} ({_listed(what)}):"
            f" {difference['how']}"
        )


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _changed(rule: Rule) -> Iterator[str]:
    """What `make mutate` found of a rule as it is now."""
    result = mutants(rule.book).get(rule.slug)
    if is_current(result, rule):
        yield (
            f"Each of {result['noticed']} small changes of the right side made"
            " a test or an output fail."
        )


def compat(page: Page) -> str:
    """On which versions of Prefect each rule held, and how others differ."""
    versions = _in_order({v for row in matrix(page.book).values() for v in row})
    # That all holds on the installed version is what the whole suite says.
    rows = [
        [f"[{rule.title}]({rule.path})", *_cells(rule, versions), HELD]
        for rule in page.book.rules
    ]
    differ = "\n".join(
        f"- [{rule.title}]({rule.path})"
        + "".join(
            f"<br>{_listed(where)}: {difference['how']}"
            for difference, where in found
        )
        for rule in page.book.rules
        if (found := [*differences(rule)])
    )
    return (
        as_table(["Rule", *versions, prefect()], rows)
        + f"\n## What differs {{ #what-differs }}\n\n{differ}"
    )


def as_table(head: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown, from cells that are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(rule: Rule, versions: list[str]) -> Iterator[str]:
    """What these versions showed of a rule as it is now."""
    found = results(rule)
    for version in versions:
        if version not in found:
            yield "not run"
        elif found[version]:
            yield f"[differs]({rule.path}#proof)"
        else:
            yield HELD


def results(rule: Rule) -> dict[str, list[str]]:
    """What failed of a rule as it is now, by the versions on which it ran."""
    row = matrix(rule.book).get(rule.slug, {})
    return {
        version: row[version]["failed"]
        for version in _in_order(row)
        if is_current(row[version], rule)
    }


def differences(rule: Rule) -> Iterator[tuple[dict, list[str]]]:
    """How older versions differ, each with the versions that do."""
    found = results(rule)
    for difference in compat_notes(rule.book):
        if difference["rule"] == rule.slug:
            what = {*difference["what"]}
            if where := [v for v, failed in found.items() if what & {*failed}]:
                yield difference, where


def _in_order(versions: Iterable[str]) -> list[str]:
    return sorted(versions, key=lambda v: [int(part) for part in v.split(".")])


def is_current(result: dict | None, rule: Rule) -> bool:
    """Whether a result is there, and is one of the rule as it is now."""
    return result is not None and result["of"] == syntax.fingerprint(rule)


def matrix(book: Book) -> dict[str, dict[str, dict[str, str | list[str]]]]:
    """What `make compat` found, by the slugs of rules and the versions."""
    return json.loads((book.root / "tests/compat.json").read_text("utf-8"))


def compat_notes(book: Book) -> list[dict]:
    """What people wrote of the differences: the rule, what differs, and how."""
    file = book.root / "tests/compat.toml"
    notes = tomllib.loads(file.read_text("utf-8"))["difference"]
    for note in notes:
        if note.keys() != {"rule", "what", "how"} or not all(note.values()):
            raise BookError(
                f"tests/compat.toml: {note}: give a difference `rule`, `what`"
                " and `how`, and no more."
            )
    return notes


def mutants(book: Book) -> dict[str, dict[str, int | str]]:
    """What `make mutate` found, by the slugs of rules."""
    return json.loads((book.root / "tests/mutants.json").read_text("utf-8"))


def claims_of(test: Path) -> list[str]:
    """The names of a file's test functions, as sentences, in file order."""
    return [as_sentence(function.name) for function in syntax.tests_of(test)]


def as_sentence(name: str) -> str:
    """The name of a test function as a sentence."""
    words = name.removeprefix("test_").split("_")
    claim = " ".join(PROPER.get(word, word) for word in words)
    return f"{claim[0].upper()}{claim[1:]}."


def rules(page: Page) -> str:
    """The rules of the page's chapter, with their reasons."""
    chapter = _chapter_of(page)
    return "\n".join(
        f"- [{rule.title}]({rule.slug}.md)<br>{rule.description}"
        for rule in chapter.rules
    )


def _chapter_of(page: Page) -> Chapter:
    return next(c for c in page.book.chapters if page in c.pages)


def chapters(page: Page) -> str:
    """The chapters, with what they are about and their number of rules."""
    return "\n".join(
        f"- [{chapter.title}]({chapter.index.path})<br>"
        f"{chapter.index.description} {len(chapter.rules)} rules."
        for chapter in page.book.chapters
    )


def contents(page: Page) -> str:
    """Every rule, folded."""
    listed = "\n\n".join(
        f"**{chapter.title}**\n\n"
        + "\n".join(f"- [{rule.title}]({rule.path})" for rule in chapter.rules)
        for chapter in page.book.chapters
    )
    return f"/// details | All {len(page.book.rules)} rules\n\n{listed}\n\n///"


def checklist(page: Page) -> str:
    """What to check for each rule: by its level, and by who can see it."""
    return "\n\n".join(
        f"## {level.capitalize()} {{ #{level} }}\n\n"
        + "\n\n".join(
            f"### {who} {{ #{level}-{checked} }}\n\n"
            + "\n".join(
                f"- [ ] {rule.front_matter.check} [{rule.title}]({rule.path})"
                for rule in rules
            )
            for checked, who in CHECKED.items()
            if (rules := [*_to_check(page.book, level, checked)])
        )
        for level in LEVELS
    )


def _to_check(book: Book, level: str, checked: str) -> Iterator[Rule]:
    for rule in book.rules:
        said = rule.front_matter
        if (said.level, said.checked) == (level, checked):
            yield rule


def symptoms(page: Page) -> str:
    """What readers see, with the rules that explain it, essentials first."""
    return "\n\n".join(
        f"## {heading} {{ #{seen} }}\n\n"
        + as_table(
            ["What you see", "The rule"],
            [
                [
                    "<br>".join(
                        rule.front_matter.asked[seen]
                        + [_code(text) for text in rule.texts(seen)]
                    ),
                    f"[{rule.title}]({rule.path})",
                ]
                for rule in page.book.by_level
                if seen in rule.front_matter.asked
            ],
        ).strip()
        for seen, heading in SEEN.items()
        if seen != "how"
    )


def states(page: Page) -> str:
    """Every state of Prefect, what it says, and the rules about it."""
    file = page.book.root / "snippets/states.toml"
    rows = tomllib.loads(file.read_text("utf-8"))["state"]
    rules = {rule.slug: rule for rule in page.book.rules}
    if strange := {slug for row in rows for slug in row["rules"]} - {*rules}:
        raise BookError(
            f"snippets/states.toml: {_listed(sorted(strange))}: no such rule."
        )
    return as_table(
        ["State", "What it says", "The rules"],
        [
            [
                f"`{row['name']}`",
                row["says"],
                "<br>".join(
                    f"[{rules[slug].title}]({rules[slug].path})"
                    for slug in row["rules"]
                ),
            ]
            for row in rows
        ],
    )


def prefect_2(page: Page) -> str:
    """Old advice, topic by topic, from the file that the test runs."""
    file = page.book.root / "snippets/coming_from_prefect_2.toml"
    rows = tomllib.loads(file.read_text("utf-8"))["row"]
    return "\n\n".join(
        f"## {topic} {{ #{_slug(topic)} }}\n\n"
        + as_table(
            ["Old", "Today it says", "Write instead"],
            [
                [f"`{row['old']}`", _code(row["says"]), row["write"]]
                for row in rows
            ],
        ).strip()
        for topic, rows in itertools.groupby(rows, lambda row: row["topic"])
    )


def _code(text: str) -> str:
    """Inline code of a text that may hold backticks itself."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def decisions(page: Page) -> str:
    """The tables that rule pages mark as decisions, with their rules.

    A rule page marks a table with the question that it answers:

        <!-- decision: Which cache policy? -->

        | ... |
    """
    return "\n\n".join(
        f"## {found['question']} {{ #{_slug(found['question'])} }}\n\n"
        + _from_the_top(_table(found, rule), rule)
        + f"\n\n{'Seen by the tests of' if found['seen'] else 'From'}"
        f" the rule [{rule.title}]({rule.path})."
        for rule in page.book.rules
        for found in DECISION.finditer(rule.body)
    )


def _table(found: re.Match[str], rule: Rule) -> str:
    """The rows of a decision, which a test recorded or an author typed."""
    if found["seen"]:
        return (rule.book.root / found["seen"]).read_text("utf-8").strip()
    return found["typed"].strip()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _from_the_top(markdown: str, rule: Rule) -> str:
    """Turn the links of a rule page into links of a page above it."""

    def turned(link: re.Match[str]) -> str:
        path = posixpath.join(rule.chapter, link["path"])
        return f"]({posixpath.normpath(path)}"

    return re.sub(r"\]\((?P<path>[\w./-]+\.md)", turned, markdown)


PARTS = {
    make.__name__: make
    for make in [
        *(edition, reason, asked, look, proof, tests, rules, chapters),
        *(contents, changes, checklist, symptoms, states, decisions),
        *(prefect_2, compat, enforced, linter),
    ]
}


def checklist_to_paste(book: Book) -> str:
    """The essentials as a Markdown task list, for a wiki or a template."""
    return "\n".join(
        f"\n## {who}\n\n"
        + "".join(
            f"- [ ] {rule.front_matter.check} (`{rule.slug}`)\n"
            for rule in _to_check(book, LEVELS[0], checked)
        )
        for checked, who in CHECKED.items()
    ).lstrip()


CODE = (".py", ".yaml", ".toml")
# A number, or a name in quotes: what is another one where the reader is.
VARYING = re.compile(
    r"""(?P<quote>['"])(?P<name>[\w .-]+)(?P=quote)|\d+(?:\.\d+)*|."""
)
SPECIAL = re.compile(r"[][.^$*+?{}()|\\]")
QUOTE = """["']"""


def patterns_of(rule: Rule) -> list[str]:
    """Its symptoms as regular expressions for the messages of others.

    Numbers and names in quotes may be others, but only names that are of the
    rule's own programs: those of Prefect and Python are the same everywhere.
    """
    own = " ".join(
        [file.relative_to(rule.room.parent).as_posix() for file in rule.files]
        + [f.read_text("utf-8") for f in rule.files if f.suffix in CODE]
    )

    def varied(part: re.Match[str]) -> str:
        name = part["name"]
        if name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", own):
            return f"{QUOTE}[^\"']*{QUOTE}"
        if part[0][0].isdigit():
            return r"\d+(?:\.\d+)*"
        return re.sub(QUOTE, QUOTE, SPECIAL.sub(r"\\\g<0>", part[0]))

    # A client prints the server's JSON as Python does, with a space.
    return [
        VARYING.sub(varied, text).replace(
            f"{QUOTE}:{QUOTE}", f"{QUOTE}: ?{QUOTE}"
        )
        for text in rule.symptoms
    ]


def rules_as_data(book: Book) -> str:
    """The rules as JSON, in the order of the book, and what they ran on."""
    rules = [
        {
            "slug": rule.slug,
            "title": rule.title,
            "description": rule.description,
            "chapter": rule.chapter,
            "level": rule.front_matter.level,
            "check": rule.front_matter.check,
            "asked": rule.asked,
            "symptoms": rule.symptoms,
            "patterns": patterns_of(rule),
            "address": rule.address,
        }
        for rule in book.rules
    ]
    data = {"prefect": prefect(), "rules": rules}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def site_settings(book: Book) -> str:
    """`mkdocs.yml`, with what its footer and the list for tools say."""
    settings = re.sub(
        r"(?<=ran on Prefect )[\w.]+(?=\.$)",
        prefect(),
        (book.root / "mkdocs.yml").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    listed = "".join(
        f"        {json.dumps(title, ensure_ascii=False)}:\n"
        + "".join(
            f"          - {page.path}: {json.dumps(page.description)}\n"
            for page in pages
        )
        for title, pages in _for_tools(book)
    )
    return re.sub(
        r"(?<=      sections: # recorded\n)(?: {8}.*\n)+",
        lambda _: listed,
        settings,
    )


def _for_tools(book: Book) -> Iterator[tuple[str, list[Page]]]:
    """The pages that are copied as Markdown, in the order of the book."""
    for chapter in book.chapters:
        yield chapter.title, [chapter.index, *chapter.rules]
    rest = {page.path: page for page in book.pages if "/" not in page.path}
    home = rest.pop("index.md")
    starter = [p for p in book.pages if p.path.startswith("starter/")]
    yield "Lists", [*rest.values(), *starter]
    about = [p for p in book.pages if p.path.startswith("about/")]
    yield "About", [home, *about]


def chapter_for_tools(name: str) -> str:
    """A template that joins the Markdown copies of a chapter.

    The plugin that makes the copies offers one file of all, which is more than
    a language model takes at once. Without the plugin, the file is empty.
    """
    return (
        '{% set copies = config.plugins["llmstxt"] -%}\n'
        "{% if copies and copies._sections -%}\n"
        "{% for listed in copies._sections.values() -%}\n"
        f'{{% for path in listed if path.startswith("{name}/") -%}}\n'
        "{{ copies._md_pages[path].content }}\n"
        "{% endfor %}{% endfor %}{% endif %}\n"
    )


def unproven(book: Book) -> str:
    """The sentences of rule pages that no test proves and no link explains."""
    return "# Sentences that no test proves and no link explains\n" + "".join(
        f"\n## {rule.path.removesuffix('.md')}\n\n"
        + "".join(f"- {sentence}\n" for sentence in found)
        for rule in book.rules
        if (found := [*sentences.unproven(rule)])
    )


# Whole files that are recorded, in all or in part.
FILES = {
    "tests/unproven.md": unproven,
    "mkdocs.yml": site_settings,
    "snippets/checklist.md": checklist_to_paste,
    "docs/rules.json": rules_as_data,
    "docs/feed.xml": feed,
    "docs/prefect-rules.zip": bundle.rules_zip,
    "docs/prefect-skill.zip": bundle.skill_zip,
} | {
    f"docs/llms-{chapter.name}.txt": (
        lambda _, name=chapter.name: chapter_for_tools(name)
    )
    for chapter in BOOK.chapters
}


def pages_with_recorded_parts(book: Book) -> list[Page]:
    return [page for page in book.pages if "<!-- recorded:" in page.source]
