"""How the rules for ast-grep do on code that nobody here wrote.

`python -m tests.precision FOLDER` runs them over the clones in a folder, each
named `<owner>+<name>`, and writes what they find into `precision.json`. Whether
a finding is right, a program cannot say: each that was read has a line in
`precision.tsv`, with the rule, the repository, the place, the verdict and why.
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypedDict

from tests import bundle
from tests.book import BOOK, Book, Rule

VERDICTS = ("right", "wrong", "unclear")
# How many findings of a rule are read, if there are as many.
READ = 10
# How many of those that are read must be right, of a hundred.
RIGHT = 95


class Measured(TypedDict):
    """What a rule found.

    Attributes:
        of: What it was then, see `version`.
        found: How often, by the repository.
    """

    of: str
    found: dict[str, int]


def version(rule: Rule) -> str:
    """Of what a result of a rule holds for: what finds it, and utilities."""
    utilities = sorted((rule.book.root / "snippets/enforce").glob("*.yml"))
    seen = hashlib.sha256()
    for file in [rule.enforcement, *utilities]:
        seen.update(file.read_bytes())
    return seen.hexdigest()[:16]


@cache
def measured(book: Book) -> dict:
    """What was found, by the rule, and the commits of the repositories."""
    return json.loads((book.root / "tests/precision.json").read_text("utf-8"))


def found(rule: Rule) -> dict[str, int]:
    """How often a rule was found, by the repository."""
    return measured(rule.book)["rules"].get(rule.slug, {}).get("found", {})


def verdicts(book: Book) -> dict[str, Counter[str]]:
    """How often each verdict was given, by the rule."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with (book.root / "tests/precision.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            counts[row["rule"]][row["verdict"]] += 1
    return counts


def problems(book: Book) -> Iterator[str]:
    """Check that each rule was measured as it is, and is right."""
    rows, read = measured(book)["rules"], verdicts(book)
    for rule in book.enforced:
        name = rule.enforcement.relative_to(book.root)
        row, said = rows.get(rule.slug), read[rule.slug]
        if row is None or row["of"] != version(rule):
            yield (
                f"{name}: was not measured as it is now. Run `python -m"
                " tests.precision FOLDER`, and read what it finds."
            )
        elif said.total() < min(READ, sum(row["found"].values())):
            yield (
                f"{name}: {said.total()} of {sum(row['found'].values())}"
                " findings were read. Read more, and say in"
                " tests/precision.tsv what they are."
            )
        elif said["right"] * 100 < RIGHT * said.total():
            yield (
                f"{name}: {said['right']} of {said.total()} findings are right."
                " Narrow it, or take it away."
            )
    if strange := read.keys() - {rule.slug for rule in book.rules}:
        yield f"tests/precision.tsv: {sorted(strange)}: no such rule."


def measure(book: Book, folder: Path) -> dict:
    """Run the rules over the clones in a folder."""
    clones = sorted(path for path in folder.iterdir() if path.is_dir())
    rules: dict[str, Measured] = {
        rule.slug: {"of": version(rule), "found": Counter()}
        for rule in book.enforced
    }
    for finding in bundle.findings(book, folder):
        repository = Path(finding["file"]).parts[0].replace("+", "/")
        rules[bundle.slug_of(finding)]["found"][repository] += 1
    return {
        "repositories": {
            clone.name.replace("+", "/"): _commit(clone) for clone in clones
        },
        "rules": rules,
    }


def _commit(clone: Path) -> str:
    command = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    return subprocess.check_output(command, text=True).strip()


if __name__ == "__main__":
    made = json.dumps(
        measure(BOOK, Path(sys.argv[1])), indent=1, sort_keys=True
    )
    (BOOK.root / "tests/precision.json").write_text(made + "\n", "utf-8")
