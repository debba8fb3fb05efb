"""Old advice, row by row: it fails as the page says, and the new way works."""

from __future__ import annotations

import shlex
import tomllib
import warnings
from pathlib import Path

import pytest

from tests.book import ROOT
from tests.programs import python

FILE = ROOT / "snippets/coming_from_prefect_2.toml"
ROWS = tomllib.loads(FILE.read_text("utf-8"))["row"]


def run(line: str, folder: Path) -> str:
    """Run a command of the page, or a line of Python.

    A name that Prefect moved still imports, with a warning: here it raises.

    Returns:
        What went wrong, or nothing.
    """
    if line.startswith("prefect "):
        ended = python("-m", *shlex.split(line), cwd=folder, COLUMNS="300")
        return ended.stdout + ended.stderr if ended.returncode else ""
    try:
        with warnings.catch_warnings(action="error"):
            exec(line, {})
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["old"])
def test_the_old_way_fails_as_the_page_says(row, tmp_path):
    assert row["says"] in run(row["old"], tmp_path)


@pytest.mark.parametrize("new", sorted({row["new"] for row in ROWS}))
def test_the_new_way_works(new, tmp_path):
    assert run(new, tmp_path) == ""
