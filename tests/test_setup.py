"""The set-up: the lock, the README's commands, the workflow, a collection."""

from __future__ import annotations

import os
import re
import shutil
import sys

import pytest
import yaml

from tests import contract, set_up, syntax
from tests.book import ROOT
from tests.programs import tool

SCHEMA = ("check-jsonschema", "--builtin-schema")
# The workflow that docs/enforce.md offers to readers.
OFFERED = "snippets/linter/workflow.yaml"


def test_each_direct_dependency_has_a_reason():
    bare = [
        str(r)
        for r, reason in set_up.direct_dependencies(ROOT).items()
        if not reason
    ]
    assert bare == []


def test_the_lock_pins_each_direct_dependency_within_its_bounds():
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    pins = dict(
        re.findall(r"^([\w.-]+)(?:\[[\w, -]+\])?==([^\s;]+)", lock, re.M)
    )
    wrong = [
        f"requirements.txt: {asked} is locked as {pins.get(asked.name)}."
        " Run `make lock`."
        for asked in set_up.direct_dependencies(ROOT)
        if not asked.specifier.contains(pins.get(asked.name, "0"))
    ]
    assert wrong == []


def test_what_proves_and_publishes_the_site_is_sound():
    contract.report(set_up.problems(ROOT))


def test_nothing_that_is_published_looks_like_a_key():
    contract.report(set_up.key_problems(ROOT))


COLLECT = """
import sys, pytest
started = []
see = lambda event, args: event == "subprocess.Popen" and started.append(args)
sys.addaudithook(see)
code = pytest.main(["--collect-only", "-q"])
assert not started, started
assert "prefect" in sys.modules and "prefect.server" not in sys.modules
sys.exit(code)
"""


def test_a_collection_finds_each_test_and_starts_no_server(tmp_path):
    # It is what an editor does at each save, in the home of a developer. The
    # import of prefect.server would more than double what it costs.
    home = os.environ | {"PREFECT_HOME": str(tmp_path)}
    collected = tool(sys.executable, "-c", COLLECT, env=home)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert list(tmp_path.iterdir()) == []
    found = {line.partition("[")[0] for line in collected.stdout.splitlines()}
    written = {
        f"{file.relative_to(ROOT).as_posix()}::{test.name}"
        for file in (ROOT / "tests").rglob("test_*.py")
        for test in syntax.tests_of(file)
    }
    assert written <= found, f"nobody runs {sorted(written - found)}"


def test_xdist_keeps_a_group_on_one_worker(tmp_path):
    # pytest 9.2 ends this without a word, and then two tests of a rule race for
    # the same names on the server.
    (tmp_path / "test_group.py").write_text(
        "import pytest\n"
        "@pytest.mark.xdist_group('rule')\n"
        "@pytest.mark.parametrize('n', range(9))\n"
        "def test_worker(n, worker_id): print(f'on={worker_id}')\n"
    )
    run = tool("pytest", "-n=2", "--dist=loadgroup", "-rP", cwd=tmp_path)
    on = re.findall(r"^on=(\w+)", run.stdout, re.M)
    assert len(on) == 9 and len(set(on)) == 1, run.stdout


def test_readmes_blocks_are_ones_that_pytest_runs():
    fences = re.findall(r"^```(.+)$", (ROOT / "README.md").read_text(), re.M)
    # pytest-codeblocks passes over a fence with a title without a word.
    assert set(fences) == {"console", "sh", "text"}


@pytest.mark.parametrize(
    "linter",
    [
        [*SCHEMA, "vendor.github-workflows", set_up.WORKFLOW, OFFERED],
        [*SCHEMA, "vendor.dependabot", ".github/dependabot.yml"],
        ["zizmor", "--offline", "--quiet", "--persona=auditor", ".github"],
        ["zizmor", "--offline", "--quiet", OFFERED],
    ],
    ids=lambda linter: " ".join(linter[-2:]),
)
def test_what_github_runs_is_sound(linter):
    checked = tool(*linter)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def stubs(folder, **programs):
    """An environment that finds these shell scripts first."""
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("open_issue", "done"),
    [
        ("", "issue create --title A weekly check is red"),
        ("7", "issue comment 7"),
    ],
)
def test_a_red_week_opens_one_issue_and_adds_to_it(open_issue, done, tmp_path):
    workflow = yaml.safe_load((ROOT / set_up.WORKFLOW).read_text("utf-8"))
    (step,) = workflow["jobs"]["report"]["steps"]
    gh = f'[ "$2" = list ] && echo "{open_issue}" || echo "$@" > asked'
    env = stubs(tmp_path, gh=gh) | step["env"]
    run = tool("bash", "-e", "-c", step["run"], cwd=tmp_path, env=env)
    assert run.returncode == 0, run.stderr
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith(f"{done} --body [The run]")


@pytest.mark.parametrize(
    ("make", "code", "last"),
    [
        ("echo 5 passed", 0, "5 passed"),
        ("touch stray.txt; echo 5 passed", 1, "?? stray.txt"),
        ("echo 1 failed; exit 2", 2, "1 failed"),
    ],
)
def test_ci_ends_with_the_tests_and_a_clean_tree(make, code, last, tmp_path):
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    programs.mkdir()
    env = stubs(programs, make=make, chromium="", initdb="")
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    who = ("-c", "user.name=CI", "-c", "user.email=ci@example.org")
    for git in (["init"], ["add", "."], [*who, "commit", "-m", "x"]):
        tool("git", *git, cwd=clone).check_returncode()
    run = tool(clone / ".ci/run", env=env)
    assert run.returncode == code, run.stderr
    assert run.stdout.splitlines()[-1] == last


@pytest.mark.parametrize(
    "command", [["check", "--output-format=concise"], ["format", "--check"]]
)
def test_the_code_is_linted_and_formatted(command):
    checked = tool("ruff", *command, "--quiet", ".")
    assert checked.returncode == 0, f"run `make lint` first:\n{checked.stdout}"


def test_what_reading_takes_is_pinned_as_what_proving_takes():
    pin = re.compile(r"^([\w.-]+)(?:\[[\w, -]+\])?(==.*?) *\\$", re.M)
    lock, read = (
        set(pin.findall((ROOT / name).read_text("utf-8")))
        for name in ("requirements.txt", "requirements-read.txt")
    )
    lines = (ROOT / "requirements.in").read_text("utf-8")
    site = lines.partition("# The site.")[2].partition("# The proof.")[0]
    asked = {*re.findall(r"^[\w-]+", site, re.M), "prefect", "ruff"}
    lost = {*(read - lock), *(asked - {name for name, _ in read})}
    assert not lost, f"requirements-read.txt: {lost}. Run `make lock`."
