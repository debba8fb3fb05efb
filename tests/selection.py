"""Which tests prove one rule, and which rules a change concerns."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.book import Book, Rule
from tests.programs import tool

# Files of the suite that look at each rule, or at what holds for all.
FOR_EACH_RULE = ("test_pages.py", "test_examples.py", "test_setup.py")


def called(names: list[str], book: Book) -> list[Rule]:
    """Find rules by their slugs, or stop and say which slugs are near."""
    by_slug = {rule.slug: rule for rule in book.rules}
    for name in set(names) - set(by_slug):
        near = difflib.get_close_matches(name, by_slug, n=5, cutoff=0.4)
        near += [slug for slug in by_slug if name in slug and slug not in near]
        raise pytest.UsageError(
            f"there is no rule {name!r} in the nav of mkdocs.yml."
            f" Near: {', '.join(near) or ', '.join(by_slug)}"
        )
    return [by_slug[name] for name in names]


def changed_rules(book: Book) -> list[str] | None:
    """Find what differs from the main branch, by git.

    Returns:
        The slugs of the rules whose page, programs or test differ or are new;
        None if something differs that many rules depend on.
    """

    def git(*command: str) -> list[str]:
        return tool("git", *command, cwd=book.root).stdout.splitlines()

    (base,) = (
        git("merge-base", "HEAD", "origin/main")
        or git("merge-base", "HEAD", "main")
        or ["HEAD"]
    )
    files = git("diff", "--name-only", base) + git(
        "ls-files", "--others", "--exclude-standard"
    )
    found = set()
    for file in files:
        path = book.root / file
        rules = [
            rule
            for rule in book.rules
            if path in (rule.file, rule.test) or rule.room in path.parents
        ]
        if not rules and not file.startswith(("docs/", "snippets/")):
            return None
        found.update(rule.slug for rule in rules)
    return sorted(found)


def keywords(rules: list[Rule], book: Book) -> str:
    """What pytest's `-k` takes to select the tests of these rules.

    The pages that are not a rule's come with them, because most hold lists of
    rules, and so do the files that are recorded from all rules.
    """
    names = [name for rule in rules for name in (rule.slug, rule.room.name)]
    names += [page.name for page in book.pages if not isinstance(page, Rule)]
    return " or ".join([*names, "recorded_file", "rooms", "linted"])


def concerns(file: Path, rules: list[Rule]) -> bool:
    """Whether a test file may hold tests of these rules."""
    return file.name in FOR_EACH_RULE or file in {rule.test for rule in rules}
