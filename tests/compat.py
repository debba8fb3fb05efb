"""Every rule on older versions of Prefect: what held there, and what did not.

    python -m tests.compat [slug ...]

Each version gets an environment in `.compat/`, with the dependencies of the day
on which the next minor version came: with today's, an old Prefect fails for
reasons of theirs. The tests and programs run there. What failed goes to
`compat.json`; what happens instead, people write into `compat.toml`; the pages
show both. What has run already is not run again until the rule changes, so an
interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests import recorded, selection, syntax
from tests.book import BOOK, ROOT, Book, Rule
from tests.programs import tool

MATRIX = ROOT / "tests/compat.json"
ENVIRONMENTS = ROOT / ".compat"
# The last release of a minor version, the day whose packages it gets, and what
# it needs besides: a later check-jsonschema needs a later click than it says.
OLDER = {
    "3.6.29": ("2026-05-05", "check-jsonschema"),
    "3.7.8": ("2026-07-13",),
    "3.8.8": ("2026-10-10", "sqlalchemy<2.1"),
}
# Of these the tools of the suite need other ones than the day has.
OF_TOOLS = re.compile(
    r"(jinja2|pygments|requests|markdown|markdown-it-py|markupsafe)==", re.I
)


def python_with(prefect: str) -> Path:
    """Make an environment with a version of Prefect, and the suite's tools."""
    folder = ENVIRONMENTS / prefect
    python = folder / "bin/python"
    lines = (ROOT / "requirements.in").read_text("utf-8").splitlines()
    wanted = "\n".join(n for n in lines if not n.startswith("prefect"))
    pins, tools = folder / "pins", folder / "tools.in"
    if pins.exists() and tools.read_text() == wanted:
        return python

    def uv(*command: str | Path) -> str:
        run = tool(Path(sys.executable).with_name("uv"), *command)
        if run.returncode:
            raise SystemExit(run.stderr)
        return run.stdout

    day, *bounds = OLDER[prefect]
    into = ("pip", "install", "--quiet", "--python", python)
    uv("venv", "--quiet", "--clear", "--python", sys.executable, folder)
    uv(*into, "--exclude-newer", day, f"prefect=={prefect}", *bounds)
    frozen = uv("pip", "freeze", "--python", python).splitlines()
    found = folder / "pins.new"
    found.write_text("\n".join(p for p in frozen if not OF_TOOLS.match(p)))
    tools.write_text(wanted)
    uv(*into, "--constraint", found, "--requirement", tools)
    found.rename(pins)
    return python


def failures(python: Path, rules: list[Rule]) -> dict[str, list[str]]:
    """Run the tests and programs of rules, and list what failed of each."""
    names = [rule.room.name for rule in rules]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        run = tool(
            *(python, "-m", "pytest", "-n", "4", f"--junitxml={report}"),
            *("-p", "no:cacheprovider", "-k", " or ".join(names)),
            *("tests/test_examples.py", *{rule.test.parent for rule in rules}),
        )
        # 1: some failed. 2: a file could not be imported. -9: it was killed.
        if run.returncode not in (0, 1):
            raise SystemExit(run.stdout + run.stderr)
        cases = xml.parse(report).getroot().iter("testcase")
    failed: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.find("failure") is None and case.find("error") is None:
            continue
        name, _, group = case.get("name", "").rpartition("@")
        program = re.search(r"\[snippets/\w+/\w+/(.+)\]", name)
        claim = recorded.as_sentence(name.partition("[")[0])
        failed[group].add(f"`{program[1]}`" if program else claim)
    return {rule.slug: sorted(failed[rule.room.name]) for rule in rules}


def problems(book: Book) -> Iterator[str]:
    """Check that `compat.toml` says how each result differs, and no more."""
    file = "tests/compat.toml"
    noted: dict[str, set[str]] = {rule.slug: set() for rule in book.rules}
    for note in recorded.compat_notes(book):
        if note["rule"] in noted:
            noted[note["rule"]].update(note["what"])
        else:
            yield f"{file}: {note['rule']}: there is no such rule."
    for rule in book.rules:
        results = recorded.results(rule)
        failed = {name for names in results.values() for name in names}
        for name in sorted(failed - noted[rule.slug]):
            yield f"{file}: {rule.slug}: {name}: say how it differs, and where."
        if {*OLDER} <= {*results}:
            for name in sorted(noted[rule.slug] - failed):
                yield f"{file}: {rule.slug}: {name}: it held. Take it out."


def main(names: list[str]) -> None:
    """Run what the matrix does not have yet, a few rules at a time."""
    rules = selection.called(names, BOOK) if names else BOOK.rules
    for prefect in OLDER:
        matrix = json.loads(MATRIX.read_text("utf-8"))
        left = [
            rule
            for rule in rules
            if not recorded.is_current(
                matrix.get(rule.slug, {}).get(prefect), rule
            )
        ]
        while left:
            now, left = left[:12], left[12:]
            for slug, failed in failures(python_with(prefect), now).items():
                (rule,) = (r for r in now if r.slug == slug)
                of = syntax.fingerprint(rule)
                cell = {"of": of, "failed": failed}
                matrix.setdefault(slug, {})[prefect] = cell
                print(f"{prefect}: {slug}: {', '.join(failed) or 'holds'}")
            MATRIX.write_text(
                json.dumps(matrix, indent=1, sort_keys=True) + "\n", "utf-8"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
