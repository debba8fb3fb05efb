"""The set-up: the lock, the README's commands, the workflow, a collection."""

from __future__ import annotations

import os
import re
import sys

import pytest
from packaging.requirements import Requirement

from tests.book import ROOT
from tests.programs import tool


def direct_dependencies() -> dict[Requirement, str]:
    """The lines of requirements.in, each with its reason."""
    lines = (ROOT / "requirements.in").read_text("utf-8").splitlines()
    split = [re.split(r"\s+#\s+", line, maxsplit=1) for line in lines]
    return {
        Requirement(parts[0]): " ".join(parts[1:])
        for parts in split
        if parts[0] and not parts[0].startswith("#")
    }


def test_each_direct_dependency_has_a_reason():
    bare = [str(r) for r, reason in direct_dependencies().items() if not reason]
    assert bare == []


def test_the_lock_pins_each_direct_dependency_within_its_bounds():
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    pins = dict(
        re.findall(r"^([\w.-]+)(?:\[[\w, -]+\])?==([^\s;]+)", lock, re.M)
    )
    wrong = [
        f"requirements.txt: {asked} is locked as {pins.get(asked.name)}."
        " Run `make lock`."
        for asked in direct_dependencies()
        if not asked.specifier.contains(pins.get(asked.name, "0"))
    ]
    assert wrong == []


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


def test_a_collection_starts_no_server_and_leaves_nothing(tmp_path):
    # It is what an editor does at each save, in the home of a developer. The
    # import of prefect.server would more than double what it costs.
    home = os.environ | {"PREFECT_HOME": str(tmp_path)}
    collected = tool(sys.executable, "-c", COLLECT, env=home)
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("document", ["README.md", "docs/about/index.md"])
def test_the_make_commands_that_readers_are_told_exist(document):
    text = (ROOT / document).read_text("utf-8")
    told = set(re.findall(r"\bmake ([a-z]+)(?=`|\n```)", text))
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    )
    assert told and told <= targets


def test_readmes_blocks_are_ones_that_pytest_runs():
    fences = re.findall(r"^```(.+)$", (ROOT / "README.md").read_text(), re.M)
    # pytest-codeblocks passes over a fence with a title without a word.
    assert set(fences) == {"console", "sh", "text"}


@pytest.mark.parametrize(
    "linter",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
        ["zizmor", "--offline", "--quiet"],
    ],
    ids=lambda linter: linter[0],
)
def test_the_github_workflow_is_sound(linter):
    checked = tool(*linter, ".github/workflows/site.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


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
