"""What a look shows of the two sides of a rule, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.sides import MANY, Pair, packages, signed


@pytest.fixture
def look(tmp_path: Path):
    """Write two files and compare them, line by line."""

    def compare(dont: str, do: str, suffix: str = ".py") -> list[str]:
        files = [tmp_path / f"{side}{suffix}" for side in ("dont", "do")]
        for file, text in zip(files, (dont, do), strict=True):
            file.write_text(dedent(text), "utf-8")
        return Pair(*files).diff().splitlines()

    return compare


def test_a_changed_line_stands_below_its_function(look):
    old = """\
        from prefect import flow

        @flow
        def load(files):
            first = 1
            second = 2
            load_all(files)
    """
    new = old.replace("load_all(files)", "load_all(files).result()")
    assert look(old, new) == [
        " def load(files):",
        " …",
        "-    load_all(files)",
        "+    load_all(files).result()",
    ]


def test_imports_are_left_out(look):
    assert look(
        "from prefect import flow\n\n@flow\ndef load(): ...\n",
        "from prefect import flow, task\n\n@flow(retries=1)\ndef load(): ...\n",
    ) == ["-@flow", "+@flow(retries=1)", " def load(): ..."]


def test_a_single_line_between_two_changes_is_shown(look):
    assert look("1\n2\n3\n", "one\n2\nthree\n", ".out") == [
        *("-1", "+one", " 2", "-3", "+three"),
    ]


def test_a_blank_line_between_two_functions_stays(look):
    assert look("x = 1\n", "def a(): ...\n\n\ndef b(): ...\n\n\nx = 1\n") == [
        *("+def a(): ...", "", "+def b(): ..."),
    ]


@pytest.mark.parametrize("calls", [6, 7])
def test_of_many_changes_those_that_start_the_example_are_left_out(calls, look):
    body = "".join(f"    work({n})\n" for n in range(calls))
    main = 'if __name__ == "__main__":\n    load({})\n'
    shown = look(
        f"def load():\n    pass\n{main.format(0)}",
        f"def load(day):\n    pass\n{body}{main.format(1)}",
    )
    assert "-def load():" in shown and "+    work(0)" in shown
    assert ("+    load(1)" in shown) == (calls + 4 <= MANY)


def test_what_only_starts_is_shown_if_nothing_else_differs(look):
    calls = "".join(f"    load({n})\n" for n in range(12))
    main = 'if __name__ == "__main__":\n'
    assert "-    load(3)" in look(main + calls, f"{main}    load()\n")


def test_a_side_is_told_by_its_sign():
    assert signed("dont.py") == "✗ dont.py"
    assert signed("do.yaml, saved as prefect.yml") == (
        "✓ do.yaml, saved as prefect.yml"
    )
    assert signed("document.py") == "document.py"


def test_a_program_is_run_with_what_prefect_does_not_bring(tmp_path):
    program, helper = tmp_path / "do.py", tmp_path / "helper.py"
    program.write_text(
        "import json, httpx, helper\n"
        "from prefect import flow\n"
        "from prefect_dask.task_runners import DaskTaskRunner\n"
    )
    helper.write_text("import pytest\nfrom prefect.testing import utilities\n")
    notes = tmp_path / "notes.md"
    assert packages({program, helper, notes}) == ["prefect-dask", "pytest"]
