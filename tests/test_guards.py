"""The guards are guarded: each fault is seeded, and its message must come.

Every test changes one thing in a copy of the repository and asks the check
that must find it. The message must name the file.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import contract, recorded
from tests.book import ROOT, Book, BookError, Rule
from tests.programs import run_program

PAGE = "docs/resilience/retry-tasks-not-flows.md"
ROOM = "snippets/resilience/retry_tasks_not_flows"
TEST = "tests/resilience/test_retry_tasks_not_flows.py"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository to spoil."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("docs", "snippets", "tests", "overrides"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text, f"{file} has no {old!r}: the fault cannot be seeded"
    file.write_text(text.replace(old, new, 1), "utf-8")


def problems_of(root: Path) -> list[str]:
    """What the checks say of the one rule page, and of the rooms."""
    book = Book(root)
    (rule,) = (r for r in book.rules if r.name == PAGE)
    return [*contract.room_problems(book), *contract.page_problems(rule)]


INCLUDE_DONT = f'--8<-- "{ROOM}/dont.py"'
FAULTS_OF_A_PAGE = {
    "a typed block": (
        PAGE,
        INCLUDE_DONT,
        "print('not from a file')",
        f"{PAGE}: the block .* is typed in",
    ),
    "a titled fence that includes nothing": (
        PAGE,
        f"{INCLUDE_DONT}\n",
        "",
        f"{PAGE}: the block .* is typed in",
    ),
    "a fence without a language": (
        PAGE,
        '```python title="dont.py"',
        "```",
        f"{PAGE}: the block of {ROOM}/dont.py: write its fence as",
    ),
    "a tilde fence": (
        PAGE,
        "The two programs differ",
        "~~~python\nprint()\n~~~\n\nThe two programs differ",
        f"{PAGE}: the block .* is typed in",
    ),
    "raw code": (
        PAGE,
        "The two programs differ",
        "<pre>print()</pre>\n\nThe two programs differ",
        f"{PAGE}: .*write Markdown instead of HTML",
    ),
    "an external script": (
        PAGE,
        "The two programs differ",
        '<script src="//example.org/x.js"></script>\n\nThe two programs differ',
        f"{PAGE}: .*write Markdown instead of HTML",
    ),
    "a missing snippet": (
        PAGE,
        f"{ROOM}/dont.py",
        f"{ROOM}/gone.py",
        f"{PAGE}: includes {ROOM}/gone.py: no such file",
    ),
    "a missing section": (
        PAGE,
        f"{ROOM}/dont.py",
        f"{ROOM}/dont.py:gone",
        f"{PAGE}: includes {ROOM}/dont.py:gone: the file has no such section",
    ),
    "lines by number, past the end": (
        PAGE,
        f"{ROOM}/dont.py",
        f"{ROOM}/dont.py:900:990",
        f"{PAGE}: includes {ROOM}/dont.py:900:990: the file has no such",
    ),
    "a space after an include": (
        PAGE,
        INCLUDE_DONT,
        f"{INCLUDE_DONT} ",
        f"{PAGE}: the block .* is typed in",
    ),
    "an include outside of a block": (
        PAGE,
        "The two programs differ",
        f"{INCLUDE_DONT}\n\nThe two programs differ",
        f"{PAGE}: includes {ROOM}/dont.py outside of a block",
    ),
    "the output of the other program": (
        PAGE,
        f"{ROOM}/dont.out",
        f"{ROOM}/do.out",
        f"{PAGE}: the output {ROOM}/do.out must stand below its program",
    ),
    "a file that no test runs": (
        PAGE,
        f"{ROOM}/dont.py",
        "overrides/theme/404.html",
        f"{PAGE}: includes overrides/theme/404.html, which no test",
    ),
    "a heading without an id": (
        PAGE,
        "## Do { #do }",
        "## Do",
        f"{PAGE}: 'Do': give the heading an id",
    ),
    "a heading of another name": (
        PAGE,
        "## Do { #do }",
        "## Better { #do }",
        f"{PAGE}: its headings are",
    ),
    "a symptom that nothing prints": (
        PAGE,
        "### `Received non-final",
        "### `Received no final",
        f"{PAGE}: symptom .*: no output and no assertion",
    ),
    "a symptom in a constant that nothing uses": (
        TEST,
        "    settles(lambda: message in log_messages(api, state), True)",
        "    settles(lambda: bool(log_messages(api, state)), True)",
        f"{PAGE}: symptom .*: no output and no assertion",
    ),
    "a symptom that is not in backticks": (
        PAGE,
        "run again...` {",
        "run again... {",
        f"{PAGE}: its headings below 'Symptom' are",
    ),
    "a rule that is not called by its title": (
        PAGE,
        "[Key your cache](key-your-cache.md):",
        "[Cache keys](key-your-cache.md):",
        f"{PAGE}: 'See also' calls key-your-cache.md 'Cache keys'",
    ),
    "a section name used twice": (
        f"{ROOM}/dont.py",
        "charges = []\n",
        "# --8<-- [start:a]\ncharges = []\n# --8<-- [end:a]\n"
        "# --8<-- [start:a]\n1\n# --8<-- [end:a]\n",
        f"{ROOM}/dont.py: section a is used twice",
    ),
    "a section without an end": (
        f"{ROOM}/dont.py",
        "charges = []\n",
        "# --8<-- [start:a]\ncharges = []\n",
        f"{ROOM}/dont.py: section a has no end",
    ),
    "an empty section": (
        f"{ROOM}/dont.py",
        "charges = []\n",
        "charges = []\n# --8<-- [start:a]\n# --8<-- [end:a]\n",
        f"{ROOM}/dont.py: section a is empty",
    ),
    "a marker on a line of code": (
        f"{ROOM}/dont.py",
        "charges = []\n",
        "charges = []  # --8<-- [start:a]\n1\n# --8<-- [end:a]\n",
        f"{ROOM}/dont.py: section a: put the marker on a line of its own",
    ),
}


@pytest.mark.parametrize("fault", FAULTS_OF_A_PAGE)
def test_a_fault_in_a_page_is_found(fault: str, copy: Path) -> None:
    file, old, new, message = FAULTS_OF_A_PAGE[fault]
    replace(copy / file, old, new)
    assert re.search(message, "\n".join(problems_of(copy)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("applies_to:", "aplies_to:", "aplies_to: Extra inputs"),
        ("[open source, Cloud]", "[everything]", "applies_to.0: Input should"),
    ],
    ids=["a misspelled key", "an unknown value"],
)
def test_a_fault_in_the_front_matter_is_found(
    old: str, new: str, message: str, copy: Path
) -> None:
    replace(copy / PAGE, old, new)
    with pytest.raises(BookError, match=f"{PAGE}: front matter: .*{message}"):
        problems_of(copy)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (f"{ROOM}/dont.py", f"{ROOM}: there is no dont program"),
        (f"{ROOM}/do.out", f"{ROOM}/do.py: has no recorded output"),
        (TEST, f"{TEST}: missing"),
    ],
)
def test_a_lost_program_output_or_test_is_found(
    lost: str, message: str, copy: Path
) -> None:
    (copy / lost).unlink()
    if lost.endswith("dont.py"):
        (copy / lost).with_suffix(".out").unlink()
    assert message in "\n".join(contract.room_problems(Book(copy)))


def test_a_lost_page_is_found(copy: Path) -> None:
    (copy / PAGE).unlink()
    with pytest.raises(BookError, match=f"{PAGE}: named by the nav"):
        problems_of(copy)


@pytest.mark.parametrize(
    ("stray", "message"),
    [
        ("docs/resilience/stray.md", "not in the nav"),
        ("snippets/resilience/stray/do.py", "has no rule page"),
        ("tests/resilience/test_stray.py", "has no rule page"),
    ],
)
def test_a_page_program_or_test_of_no_rule_is_found(
    stray: str, message: str, copy: Path
) -> None:
    (copy / stray).parent.mkdir(exist_ok=True)
    (copy / stray).write_text("")
    found = "\n".join(contract.room_problems(Book(copy)))
    assert message in found and "stray" in found


def test_an_unknown_recorded_part_is_found(copy: Path) -> None:
    replace(copy / PAGE, "recorded: proof", "recorded: proofs")
    page = Rule(Book(copy), PAGE.removeprefix("docs/"))
    with pytest.raises(BookError, match=f"{PAGE}: recorded: proofs"):
        recorded.with_recorded_parts(page)


def test_a_file_that_only_a_comment_or_an_idle_constant_names_is_found(
    copy: Path,
) -> None:
    replace(copy / PAGE, INCLUDE_DONT, f'--8<-- "{ROOM}/charges.csv"')
    (copy / ROOM / "charges.csv").write_text("order-7,12.50")
    test = copy / TEST
    text = test.read_text("utf-8")
    expected = f"{PAGE}: includes {ROOM}/charges.csv, which no test runs"
    for mention in (
        "# charges.csv\n",
        'def test_x():\n    """Of charges.csv."""\n    assert 1\n',
        'FILE = "charges.csv"\n',
    ):
        test.write_text(text + mention)
        assert expected in "\n".join(problems_of(copy))
    test.write_text(text + 'FILE = "charges.csv"\nprint(FILE)\n')
    assert expected not in "\n".join(problems_of(copy))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("def test_twice(): assert 1\n" * 2, "test_twice: there are two"),
        ("def test_x(): print('it ran')\n", "test_x: asserts nothing"),
        ("def test_x(): pytest.skip(); assert 1\n", "skip: what is skipped"),
        ("@pytest.mark.xfail\ndef test_x(): assert 1\n", "xfail: what is"),
    ],
)
def test_a_test_that_proves_nothing_is_found(
    fault: str, message: str, tmp_path: Path
) -> None:
    test = tmp_path / "test_new.py"
    test.write_text(fault)
    (found,) = contract.tests_problems(test, tmp_path)
    assert f"test_new.py: {message}" in found


def test_two_programs_with_the_same_text_are_found(copy: Path) -> None:
    shutil.copy(copy / ROOM / "dont.py", copy / ROOM / "do.py")
    found = "\n".join(contract.room_problems(Book(copy)))
    assert f"{ROOM}/do.py: is the same as dont.py" in found


def test_a_program_that_prints_something_else_is_found(tmp_path: Path) -> None:
    program = tmp_path / "do.py"
    program.write_text("print('Fees: 1')")
    output = tmp_path / "do.out"
    output.write_text("Charges: 1\n")
    run = run_program(program, tmp_path)
    (found,) = contract.recorded_problems(output, run.stdout, tmp_path)
    assert "do.out: is not what it must be" in found
    assert "-Charges: 1\n+Fees: 1" in found


def test_a_program_that_prints_something_else_each_time_is_found(
    tmp_path: Path,
) -> None:
    program = tmp_path / "do.py"
    program.write_text("import os; print(os.getpid())")
    runs = [run_program(program, tmp_path) for _ in range(2)]
    (found,) = contract.race_problems("do.py", *runs)
    assert "do.py: prints something else in each run" in found


def test_a_deprecated_call_of_prefect_is_found(tmp_path: Path) -> None:
    program = tmp_path / "do.py"
    program.write_text(
        "from prefect.flow_engine import send_heartbeats_sync\n"
        "send_heartbeats_sync(None)\n"
    )
    run = run_program(program, tmp_path)
    (found,) = contract.program_problems("do.py", run)
    assert "do.py: uses what Prefect deprecates" in found
