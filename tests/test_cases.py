"""What owners of projects say leads to the rule that mends their project.

A case is a folder of `tests/cases/`: what somebody said, a project with the
fault, the files that differ in the mended one, and a program that runs the
project and asserts what its owner wants.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path
from subprocess import CompletedProcess
from typing import Literal

import pytest
from pydantic import BaseModel, ValidationError

from snippets.find_rule import find_rules
from tests import bundle, contract
from tests.book import BOOK, ROOT, Book, BookError, Rule
from tests.observe import kept, settles
from tests.programs import python

CASES = ROOT / "tests" / "cases"
PARTS = ("ticket.toml", "check.py", "broken", "fixed")


class Ticket(BaseModel, extra="forbid"):
    """What the owner of a project says, and what finds the rule.

    Attributes:
        rule: The slug of the rule.
        said: Two to four sentences, with the lines that the owner pastes.
        found_by: `linter` if the rule's `enforce.yml` finds the place in the
            project, `words` if `find_rule.py` finds the rule by what is said.
    """

    rule: str
    said: str
    found_by: Literal["linter", "words"]


def ticket_of(case: Path, book: Book = BOOK) -> tuple[Ticket, Rule]:
    """Read the ticket of a case, and find its rule.

    Raises:
        BookError: If the case is not as it must be; it names the file.
    """
    name = case.relative_to(book.root)
    for part in PARTS:
        if not (case / part).exists():
            raise BookError(
                f"{name}/{part}: missing. A case has {', '.join(PARTS)}."
            )
    file = case / "ticket.toml"
    try:
        ticket = Ticket(**tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise BookError(f"{name}/ticket.toml: {error}") from error
    for rule in book.rules:
        if rule.slug == ticket.rule:
            return ticket, rule
    raise BookError(f"{name}/ticket.toml: there is no rule {ticket.rule!r}.")


TICKETS = {case.name: ticket_of(case) for case in sorted(CASES.glob("*/"))}


def names(found_by: str) -> list[str]:
    """The cases whose rule is found by the linter, or by words."""
    return [
        name
        for name, (ticket, _) in TICKETS.items()
        if ticket.found_by == found_by
    ]


def project(case: Path, folder: Path, mended: bool) -> Path:
    """Copy the project of a case as it was, or as the rule mends it."""
    shutil.copytree(case / "broken", folder)
    if mended:
        shutil.copytree(case / "fixed", folder, dirs_exist_ok=True)
    return folder


def checked(case: Path, home: Path, mended: bool) -> CompletedProcess[str]:
    """Run the program that asserts what the owner wants."""
    folder = project(case, home / f"mended-{mended}", mended)
    own = {"PREFECT_HOME": str(home / f"prefect-{mended}")}
    return python(case / "check.py", cwd=folder, **own)


def findings(rule: Rule, folder: Path) -> list[tuple[str, str]]:
    """Let ast-grep look for what is against a rule.

    Returns:
        The file, and the line in which the place begins.
    """
    return [
        (found["file"], found["lines"].splitlines()[0])
        for found in bundle.findings(BOOK, folder)
        if bundle.slug_of(found) == rule.slug
    ]


@pytest.mark.parametrize("name", TICKETS)
def test_the_rule_mends_the_project(name, tmp_path):
    case = CASES / name
    url = os.environ["PREFECT_API_URL"]
    before = {*kept(url)}
    broken = checked(case, tmp_path, mended=False)
    *_, uncaught = broken.stderr.split("Traceback (most recent call last)")
    assert re.search("^AssertionError: .", uncaught, re.MULTILINE), (
        f"{case}: the check of the broken project ends with"
        f" {broken.returncode}: {broken.stderr}"
    )
    mended = checked(case, tmp_path, mended=True)
    assert mended.returncode == 0, mended.stderr

    def left() -> list[str]:
        new = {*kept(url)} - before
        return [
            problem
            for file in (case / "check.py", case / "broken" / "project")
            for problem in contract.left_problems(file, new, ROOT)
        ]

    settles(left, [])  # what another test has made goes by itself


@pytest.mark.parametrize("name", TICKETS)
def test_the_mended_project_differs_where_it_must(name):
    case = CASES / name
    for file in (case / "fixed").rglob("*.*"):
        was = case / "broken" / file.relative_to(case / "fixed")
        assert file.read_text("utf-8") != was.read_text("utf-8"), file


@pytest.mark.parametrize("name", names("linter"))
def test_the_linter_finds_the_place(name, tmp_path):
    _, rule = TICKETS[name]
    broken = project(CASES / name, tmp_path / "broken", mended=False)
    mended = project(CASES / name, tmp_path / "mended", mended=True)
    found = findings(rule, broken)
    assert found, "nothing found"
    for file, line in found:
        now = (mended / file).read_text("utf-8").splitlines()
        assert line not in now, f"{file}: it is not this line: {line}"
    assert findings(rule, mended) == []


@pytest.mark.parametrize("name", names("words"))
def test_what_is_said_finds_the_rule(name):
    ticket, rule = TICKETS[name]
    found = find_rules(f"{(ROOT / 'docs').as_uri()}/", ticket.said)
    assert len(found) <= 3, found
    assert rule.title in [line.rpartition(": ")[0] for line in found]


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("ticket.toml", "retry-tasks-not-flows", "retry-it", "no rule 'retry"),
        ("ticket.toml", '"linter"', '"luck"', "found_by"),
        ("ticket.toml", "said", "asked", "said"),
        ("ticket.toml", "rule = ", "rule: ", "line 1"),
        ("check.py", None, None, "missing"),
    ],
    ids=["unknown rule", "found by", "nothing said", "no TOML", "no check"],
)
def test_a_broken_case_is_reported_with_its_file(copy, file, old, new, said):
    case = copy / "tests/cases/charged-twice"
    if old is None:
        (case / file).unlink()
    else:
        text = (case / file).read_text("utf-8")
        (case / file).write_text(text.replace(old, new, 1), "utf-8")
    name = re.escape(f"tests/cases/charged-twice/{file}: ")
    with pytest.raises(BookError, match=f"(?s)^{name}.*{said}"):
        ticket_of(case, Book(copy))
