"""The guards are guarded: each fault is seeded, and its message must come.

Every test changes one thing in a copy of the repository and asks the check
that must find it. The message must name the file.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests import compat, contract, editions, mutate, observe, recorded, set_up
from tests.book import ROOT, Book, BookError, Rule
from tests.programs import run_program, tool

PLACES = {
    "PAGE": "docs/resilience/retry-tasks-not-flows.md",
    "ROOM": "snippets/resilience/retry_tasks_not_flows",
    "TEST": "tests/resilience/test_retry_tasks_not_flows.py",
}
PAGE, ROOM, TEST = PLACES.values()
LISTS = ("requirements.in", "requirements.txt", "requirements-read.txt")
SEEDED = tomllib.loads(
    Path(__file__).with_name("faults.toml").read_text("utf-8")
)
FAULTS = [
    {
        key: re.sub("|".join(PLACES), lambda place: PLACES[place[0]], text)
        for key, text in fault.items()
    }
    for fault in SEEDED["fault"]
]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text, f"{file} has no {old!r}: the fault cannot be seeded"
    file.write_text(text.replace(old, new, 1), "utf-8")


def the_rule(book: Book) -> Rule:
    """The one rule that is spoilt here."""
    (rule,) = (rule for rule in book.rules if rule.name == PAGE)
    return rule


def said_of(root: Path) -> str:
    """What the checks say of the one rule, and of the rooms."""
    try:
        book = Book(root)
        rule = the_rule(book)
        problems = [*contract.room_problems(book)]
        if not problems:
            problems += contract.page_problems(rule)
            problems += contract.tests_problems(rule.test, root)
            made = recorded.with_recorded_parts(rule)
            problems += contract.recorded_problems(rule.file, made, root)
    except BookError as error:
        problems = [str(error)]
    return "\n".join(problems)


def test_the_rule_to_spoil_has_no_fault(copy):
    assert said_of(copy) == ""


def seed(fault: dict[str, str], root: Path) -> None:
    file = root / fault["file"]
    if "old" in fault:
        replace(file, fault["old"], fault["new"])
    elif "new" in fault:
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as end:
            end.write(fault["new"])
    else:
        file.unlink()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_a_fault_is_found(fault, copy):
    seed(fault, copy)
    assert re.search(fault["found"], said_of(copy))


@pytest.mark.parametrize(
    "fault", SEEDED["set_up"], ids=lambda fault: fault["name"]
)
def test_a_fault_of_the_set_up_is_found(fault, tmp_path):
    for name in (".ci", ".github", "docs/about"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "README.md", *LISTS):
        shutil.copy(ROOT / name, tmp_path)
    assert [*set_up.problems(tmp_path)] == []
    seed(fault, tmp_path)
    assert re.search(fault["found"], "\n".join(set_up.problems(tmp_path)))


@pytest.mark.parametrize(
    "key",
    [
        *("ghp_" + "a" * 36, "github_pat_" + "a" * 22, "glpat-" + "a" * 20),
        *("AKIA" + "A" * 16, "AIza" + "a" * 35, "xoxb-" + "1" * 10),
        *("sk_live_" + "a" * 16, "pnu_" + "a" * 36, "pnb_" + "a" * 36),
        *("hooks.slack.com/services/" + "T0", "-----BEGIN PRIVATE" + " KEY"),
    ],
)
def test_what_looks_like_a_key_is_found(key, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text(f"It is `{key}`.")
    (found,) = set_up.key_problems(tmp_path)
    assert found.startswith(f"docs/page.md: {key[:12]}... looks like a key")


@pytest.mark.parametrize(
    "mention",
    [
        "# charges.csv\n",
        'def test_x():\n    """Of charges.csv."""\n    assert 1\n',
        'FILE = "charges.csv"\n',
    ],
    ids=["a comment", "a docstring", "an idle constant"],
)
def test_a_file_that_nothing_running_names_is_found(mention, copy):
    replace(copy / PAGE, f"{ROOM}/dont.py", f"{ROOM}/charges.csv")
    (copy / ROOM / "charges.csv").write_text("order-7,12.50")
    unread = f"{PAGE}: includes {ROOM}/charges.csv, which no test runs"
    with (copy / TEST).open("a") as end:
        end.write(mention)
    assert unread in said_of(copy)
    with (copy / TEST).open("a") as end:
        end.write('print("charges.csv")\n')
    assert unread not in said_of(copy)


def test_a_page_of_a_few_words_is_found(copy):
    page = copy / PAGE
    head, symptom, body = page.read_text("utf-8").partition("## Symptom")
    short = re.sub(r"(?m)^\w.*\n", "", body)
    page.write_text(head + symptom + short, "utf-8")
    assert f"{PAGE}: has " in said_of(copy)


@pytest.mark.parametrize("page", contract.RECORDED_PARTS)
def test_a_list_that_is_no_longer_recorded_is_found(page, copy):
    file = copy / "docs" / page
    file.write_text(recorded.PART.sub("", file.read_text("utf-8")), "utf-8")
    (found, *_) = (
        problem
        for p in Book(copy).pages
        if p.path == page
        for problem in contract.page_problems(p)
    )
    assert f"docs/{page}: has no part" in found


def test_a_state_that_names_no_rule_is_found(copy):
    replace(copy / "snippets/states.toml", "prevent-overlap", "prevent")
    page = next(p for p in Book(copy).pages if p.path == "symptoms.md")
    with pytest.raises(BookError, match=r"states.toml: prevent: no such rule"):
        recorded.with_recorded_parts(page)


def test_a_skip_fails_in_ci_and_a_plain_run_records_nothing(copy):
    with (copy / "tests/test_pages.py").open("a") as end:
        end.write("\n\ndef test_x():\n    pytest.skip('no browser')\n")
    replace(copy / "docs/rules.json", "slug", "slag")
    run = tool(
        *(sys.executable, "-m", "pytest", "tests/test_pages.py"),
        *("-k", "test_x or rules.json"),
        cwd=copy,
        env=os.environ | {"CI": "true"},
    )
    assert "2 failed" in run.stdout, run.stdout
    assert "no browser: install what is missing" in run.stdout
    assert "docs/rules.json: is not what it must be now" in run.stdout
    assert "slag" in (copy / "docs/rules.json").read_text("utf-8")


def test_readmes_blocks_wait_for_the_server_and_say_why_they_fail(copy):
    readme = shutil.copy(ROOT / "README.md", copy)
    with Path(readme).open("a") as end:
        end.write("\n```sh\necho no disk >&2; exit 3\n```\n")
    run = tool(
        *(sys.executable, "-m", "pytest", "-n1", "-k", "README"),
        *("README.md", "tests/test_sides.py"),
        cwd=copy,
    )
    assert "1 failed, 1 passed" in run.stdout, run.stdout
    assert "no disk" in run.stdout


def test_a_check_fails_the_test_that_reports_it():
    with pytest.raises(pytest.fail.Exception, match="what it found"):
        contract.report(["what it found"])
    with pytest.raises(AssertionError, match="it stays 1 and is not 2"):
        observe.settles(lambda: 1, 2, seconds=0)


def test_each_kind_of_mistake_is_made(copy):
    files = {
        "dont.py": "print(1)\n",
        "do.py": "from prefect import flow\n"
        "import os\n"
        "if os.environ['TOKEN'] == 'x' and True:\n"
        "    print(flow(retries=3, name='a').load('b')())\n",
        "do.yaml": "# why\na:\n  b: 1\n",
    }
    for file in (copy / ROOM).iterdir():
        file.unlink()
    for name, text in files.items():
        (copy / ROOM / name).write_text(text)
    made = {
        (mutant.change, mutant.text)
        for mutant in mutate.mutants_of(the_rule(Book(copy)))
    }
    do = files["do.py"]
    assert {change for change, _ in made} == {
        f"as in don't: {' / '.join(map(str.strip, do.splitlines()))}",
        *("typed in: os.environ['TOKEN']", "True is False", "3 is 4"),
        *("'x' is 'xx'", "'a' is 'ax'", "'TOKEN' is 'TOKENx'"),
        *("left out: retries=3", "left out: name='a'"),
        *("left out: a:", "left out: b: 1"),
    }
    assert ("left out: retries=3", do.replace("retries=3, ", "")) in made
    assert ("left out: a:", "# why\n") in made


def test_a_mistake_that_nothing_notices_is_found(copy):
    rule, results = the_rule(Book(copy)), copy / "tests/mutants.json"
    assert [*mutate.problems(rule)] == []
    all_noticed = json.loads(results.read_text())
    all_noticed[rule.slug]["noticed"] -= 1
    results.write_text(json.dumps(all_noticed))
    with (copy / "tests/mutants.toml").open("a") as end:
        end.write(f"[[mutant]]\nfile='{ROOM}/do.py'\nchange='x'\nreason='y'")
    unlisted, unseen = mutate.problems(rule)
    assert f"{ROOM}/do.py: x: no such change" in unlisted
    assert f"not every change of {rule.slug} was noticed" in unseen
    with (copy / TEST).open("a") as end:
        end.write("MORE = 1\n")
    assert "no result of" in [*mutate.problems(rule)][-1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"detect-zombies"', '"detect"', "detect: there is no such rule"),
        ("Who is killed", "Who is hurt", "zombies: Who is killed.*: say how"),
        ('what = ["', 'what = ["It held.", "', "It held.: it held. Take it"),
    ],
)
def test_a_difference_that_is_not_explained_is_found(old, new, message, copy):
    replace(copy / "tests/compat.toml", old, new)
    assert re.search(message, "\n".join(compat.problems(Book(copy))))


def test_a_difference_without_an_explanation_stops(copy):
    replace(copy / "tests/compat.toml", "how =", "why =")
    with pytest.raises(BookError, match=r"compat.toml: .* give a difference"):
        [*compat.problems(Book(copy))]


def test_two_programs_with_the_same_text_are_found(copy):
    shutil.copy(copy / ROOM / "dont.py", copy / ROOM / "do.py")
    assert f"{ROOM}/do.py: is the same as dont.py" in said_of(copy)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("def test_twice(): assert 1\n" * 2, "F811"),
        ("def test_x(): pytest.skip(); assert 1\n", "`pytest.skip` is banned"),
        ("@pytest.mark.xfail\ndef test_x(): assert 1\n", "xfail` is banned"),
    ],
)
def test_a_test_that_never_runs_is_found(fault, message):
    linted = tool(
        *("ruff", "check", "--stdin-filename=tests/resilience/test_x.py", "-"),
        input=f"import pytest\n\n\n{fault}",
    )
    assert message in linted.stdout


def test_a_program_that_prints_something_else_is_found(tmp_path):
    program = tmp_path / "do.py"
    program.write_text("print('Fees: 1')")
    output = tmp_path / "do.out"
    output.write_text("Charges: 1\n")
    run = run_program(program, tmp_path)
    (found,) = contract.recorded_problems(output, run.stdout, tmp_path)
    assert "do.out: is not what it must be" in found
    assert "-Charges: 1\n+Fees: 1" in found


def test_a_program_that_prints_something_else_each_time_is_found(tmp_path):
    program = tmp_path / "do.py"
    program.write_text("import os; print(os.getpid())")
    runs = [run_program(program, tmp_path) for _ in range(2)]
    (found,) = contract.race_problems("do.py", *runs)
    assert "do.py: prints something else in each run" in found


def test_what_a_program_leaves_on_the_server_is_found(tmp_path):
    program = tmp_path / "do.py"
    program.write_text('load.deploy("night-load")')
    found = [
        ("deployment", name, "an address")
        for name in ("night-load", "night", "of-another-rule")
    ]
    (problem,) = contract.left_problems(program, found, tmp_path)
    assert "do.py: leaves the deployment 'night-load'" in problem


def test_a_deprecated_call_of_prefect_is_found(tmp_path):
    program = tmp_path / "do.py"
    program.write_text(
        "from prefect.flow_engine import send_heartbeats_sync\n"
        "send_heartbeats_sync(None)\n"
    )
    run = run_program(program, tmp_path)
    (found,) = contract.program_problems("do.py", run)
    assert "do.py: uses what Prefect deprecates" in found


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('    "key-your-cache",\n', "", "add a line for key-your-cache"),
        ("detect-zombies =", "detect-ghosts =", "detect-ghosts: no such rule"),
        ("[edition.changed]", "[edition.chnged]", r"[\s\S]*chnged"),
    ],
)
def test_a_fault_in_the_list_of_changes_is_found(old, new, found, copy):
    replace(copy / "snippets/changes.toml", old, new)
    with pytest.raises(BookError, match=rf"^snippets/changes.toml: .*{found}"):
        editions.editions(Book(copy))


@pytest.mark.xdist_group("modules of tests")
@pytest.mark.parametrize("text", ["the first", "the second"])
def test_a_test_imports_its_own_module_not_that_of_another(
    text, tmp_path, monkeypatch
):
    (tmp_path / "module_of_a_test.py").write_text(f"TEXT = {text!r}")
    monkeypatch.syspath_prepend(tmp_path)
    assert text == importlib.import_module("module_of_a_test").TEXT
