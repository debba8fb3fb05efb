"""What the site offers to take away: the rules for ast-grep, and the skill."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from overrides.zips import RULES, packed, rule_files
from tests import skill
from tests.book import Book, BookError
from tests.programs import tool


def rules_zip(book: Book) -> bytes:
    """The rules for ast-grep, in one folder."""
    return packed(RULES, rule_files(book.root / "snippets"))


def skill_zip(book: Book) -> bytes:
    """The skill for assistants, in one folder."""
    return packed(skill.NAME, skill.files(book))


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def findings(book: Book, folder: Path) -> list[dict]:
    """What the rules find below a folder, as ast-grep says it.

    Raises:
        BookError: If a rule is not as ast-grep must have it.
    """
    with tempfile.TemporaryDirectory() as made:
        write(rule_files(book.root / "snippets"), Path(made))
        config = f"--config={made}/sgconfig.yml"
        run = tool("ast-grep", "scan", config, "--json", cwd=folder)
    if not run.stdout:
        raise BookError(run.stderr)
    return [
        finding
        for finding in json.loads(run.stdout)
        if finding["ruleId"] != "unused-suppression"
    ]


def slug_of(finding: dict) -> str:
    """The rule that a finding breaks: what sees it in YAML has a longer id."""
    return finding["ruleId"].removesuffix("-yaml")
