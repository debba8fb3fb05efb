"""Which sentences of a rule page its tests prove.

A test says in its docstring what it proves, in the words of the page: each
paragraph of the docstring is a passage of one or more whole sentences. The two
are compared as plain text. Behind each such passage the page has a mark that
leads to the test.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from tests import syntax
from tests.book import Rule

MARK = re.compile(r"\[✓\]\(#proof-\d+\)")
# The Markdown around what a reader reads.
CLOSING = r"\]\([^)\s]*\) | \]\[[^\]]*\] | \*\* | `"
TOKEN = re.compile(
    rf"""
    (?P<silent> !\[[^\]]*\]\([^)]*\)(?:\{{[^}}]*\}})?
        | ^[ ]*```.*?^[ ]*```$ | <!--.*?--> | \{{[ ]?[#.][^}}]*\}}
        | ^---$.*?^---$ | ^--8<--.*?$ | {CLOSING}
        | \[(?=[^\[\]]*\][\[(]) )
    | (?P<gap> \s*\n\s*\n\s* | \n(?=[ ]*(?:-|\d+\.|\|)[ ]) )
    | (?P<space> \s+ )
    | .
    """,
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
CLOSED = re.compile(f"(?:{CLOSING})*", re.VERBOSE)
PROOF = re.compile(r"^## Proof .*?<!-- /recorded -->", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)


def section(*ids: str) -> re.Pattern[str]:
    """What finds the sections with these ids: their `title` and `text`."""
    return re.compile(
        rf"^## (?P<title>[^\n]*) \{{ #(?:{'|'.join(ids)}) \}}\n"
        r"(?P<text>.*?)(?=^## |\Z)",
        re.DOTALL | re.MULTILINE,
    )


# Where a page speaks of what Prefect does, rather than of what one sees or
# reads elsewhere.
SECTIONS = ("what-happens", "do", "when-to-break-the-rule")
SECTION = section(*SECTIONS)


def reduced(source: str) -> tuple[str, list[int]]:
    """Reduce Markdown to its text.

    Returns:
        The text, with a line for each paragraph, item of a list or row of a
        table, and for each of its characters where it ends in the source.
    """
    text, ends = "", []
    for token in TOKEN.finditer(source):
        kind = token.lastgroup
        if kind == "silent" or (kind == "space" and text[-1:].isspace()):
            continue
        text += {"gap": "\n", "space": " "}.get(kind, token[0])
        ends.append(token.end())
    return text, ends


def passages(rule: Rule) -> Iterator[tuple[int, str, str]]:
    """List what the tests of a rule say that they prove.

    Yields:
        The number of the test in its file, its name, and a passage as text.
    """
    if not rule.test.is_file():
        return
    for number, test in enumerate(syntax.tests_of(rule.test), 1):
        said = ast.get_docstring(test) or ""
        for paragraph in re.split(r"\n\s*\n", said):
            if paragraph:
                yield number, test.name, reduced(paragraph.strip())[0]


def with_marks(rule: Rule, source: str) -> str:
    """Return a rule page's source with a mark behind each proven passage."""
    source = MARK.sub("", source)
    text, ends = reduced(source)
    proof = PROOF.search(source)
    marks: dict[int, set[int]] = {}
    for number, _, passage in passages(rule):
        for found in re.finditer(re.escape(passage), text):
            end = CLOSED.match(source, ends[found.end() - 1]).end()
            if not (proof and proof.start() < end < proof.end()):
                marks.setdefault(end, set()).add(number)
    for end in sorted(marks, reverse=True):
        made = "".join(f"[✓](#proof-{n})" for n in sorted(marks[end]))
        source = source[:end] + made + source[end:]
    return source


def sentence_problems(rule: Rule) -> Iterator[str]:
    """Check that each test says what it proves in the words of the page."""
    name = rule.test.relative_to(rule.book.root).as_posix()
    text = reduced(MARK.sub("", PROOF.sub("", rule.source)))[0]
    said = [*passages(rule)]
    for test in syntax.tests_of(rule.test):
        if test.name not in {name for _, name, _ in said}:
            yield (
                f"{name}: {test.name}: has no docstring. Say in it the sentence"
                f" of {rule.name} that it proves."
            )
    for _, test, passage in said:
        if passage[-1] not in ".:!?":
            yield f"{name}: {test}: {passage!r} does not end as a sentence."
        elif passage not in text:
            near = difflib.get_close_matches(passage, _split(text), 1, 0.3)
            yield (
                f"{name}: {test}: proves {passage!r}, and {rule.name} does not"
                " say that, word for word in one paragraph."
                + "".join(f" Near: {sentence!r}." for sentence in near)
            )


def unproven(rule: Rule) -> Iterator[str]:
    """List the sentences that neither a test proves nor a link leads on from.

    They are advice, or say what a reader can see on the page. What Prefect does
    is not for them to say.
    """
    proven = [passage for *_, passage in passages(rule)]
    for section in SECTION.finditer(MARK.sub("", rule.source)):
        for block in re.split(r"\n\s*\n", section["text"]):
            for item in ITEM.split(block):
                rest = reduced(item)[0].strip()
                for passage in proven:
                    rest = rest.replace(passage, "\n")
                linked = "\n".join(
                    reduced(sentence)[0]
                    for sentence in _split(" ".join(item.split()))
                    if "](https://" in sentence
                )
                for sentence in _split(rest):
                    if sentence not in linked:
                        yield sentence


def _split(text: str) -> list[str]:
    """Split a text into its sentences and the rows of its tables."""
    parts = re.split(r"(?<=[.!?])(?:\*\*|[`)])*\s+(?!\|)|\n\s*", text)
    return [part.strip() for part in parts if re.search(r"\w", part)]
