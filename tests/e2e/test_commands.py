"""What README tells to type, and what CI does by itself."""

import re
import shlex
import tomllib
from itertools import count
from pathlib import Path

import pytest
from prefect.testing.cli import invoke_and_assert

from tests.book import ROOT
from tests.programs import tool
from tests.starter import FOLDER, commands_in, read

WORKFLOW = ".github/workflows/test.yaml"


def test_the_workflow_is_sound():
    for linter in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        ("zizmor", "--offline", "--quiet", "--persona=auditor"),
    ):
        checked = tool(*linter, FOLDER / WORKFLOW)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_ci_deploys_what_it_tested_and_keeps_the_password_for_that():
    jobs = read(WORKFLOW)["jobs"]
    deploy = jobs["deploy"]
    assert deploy["needs"] == "test"
    assert deploy["if"] == "github.ref == 'refs/heads/main'"
    assert deploy["environment"] == "production"
    *others, last = deploy["steps"]
    assert "deploy --all" in last["run"]
    assert "PREFECT_API_AUTH_STRING" in last["env"]
    assert "secrets." not in str([jobs["test"], others])

    rule = ROOT / "snippets/version_control/deploy_from_ci/do.yaml"
    used = re.compile(r"uses: (.*)")
    text = (FOLDER / WORKFLOW).read_text()
    assert {*used.findall(text)} == {*used.findall(rule.read_text())}


def test_ci_runs_each_hook_of_pre_commit():
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    entries = {each["entry"].removesuffix(" --fix") for each in hooks}
    steps = [
        each.get("run", "") for each in read(WORKFLOW)["jobs"]["test"]["steps"]
    ]
    same = {"uv lock --check": "uv sync --locked"}
    for entry in entries:
        wanted = same.get(entry, entry)
        assert [step for step in steps if step.startswith(wanted)], entry
    assert "uv run pytest" in steps


TOOLS = {"ruff", "pytest", "mypy", "pre-commit"}


def commands():
    """The words of each command that somebody types, or a machine runs."""
    readme = (FOLDER / "README.md").read_text("utf-8")
    yield from commands_in(readme)
    for inline in re.findall(r"`((?:uv|python|prefect) [^`]+)`", readme):
        yield shlex.split(inline)
    for job in read(WORKFLOW)["jobs"].values():
        for step in job["steps"]:
            yield shlex.split(step.get("run", ""))
    for one in read("compose.yaml")["services"].values():
        yield one.get("command", [])


def without_uv(words):
    """What `uv run` runs, without its own options."""
    if words[:2] != ["uv", "run"]:
        return words
    words = iter(words[2:])
    for word in words:
        if word in {"--env-file", "--with"}:
            value = next(words)
            assert (FOLDER / f"{value}.example").exists() or re.fullmatch(
                "prefect-(docker|kubernetes)", value
            ), value
        elif word != "--no-sync":
            return [word, *words]
    raise AssertionError("uv run has nothing to run")


def test_each_command_names_something_that_exists(package):
    run = [without_uv(words) for words in commands()]
    run = [
        w
        for w in run
        if w and w[0] in {"python", "prefect", "daily-sales"} | TOOLS
    ]
    kinds = {words[0] for words in run}
    assert kinds == {"python", "prefect", "daily-sales"} | TOOLS
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert {*project["dependency-groups"]["dev"]} >= TOOLS
    for words in run:
        if words[0] == "python":
            exists_in_the_project(words[1:])
        elif words[0] == "daily-sales":
            assert project["project"]["scripts"]["daily-sales"]
            the_package_takes(words[1:])
        elif words[0] == "prefect":
            prefect_takes(words[1:])


def exists_in_the_project(words):
    if words[0] == "-c":
        compile(words[1], "-c", "exec")
    elif words[0] == "-m":
        assert (FOLDER / f"{words[1].replace('.', '/')}.py").exists(), words
    elif words[0].startswith("prefect-rules/"):
        # The folder comes with the download.
        assert (ROOT / "snippets" / Path(words[0]).name).exists(), words
    else:
        assert (FOLDER / words[0]).exists(), words


def the_package_takes(words):
    from daily_sales import cli

    called = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("set_up", "backfill"):
            patch.setattr(cli, name, lambda *given: called.append(given) or [])
        cli.main(words)
    assert called


HELP = {}


def prefect_takes(words):
    """Assert that the help of the command tells of each option."""
    names = [w for w in words if w != "--no-prompt"]
    cut = next(n for n in count() if n == len(names) or names[n][0] == "-")
    command = tuple(names[:cut])
    if command not in HELP:
        told = invoke_and_assert([*command, "--help"], expected_code=0)
        HELP[command] = told.stdout
    options = [w.partition("=")[0] for w in names[cut:] if w.startswith("--")]
    for option in options:
        assert option in HELP[command], words
    if "--prefect-file" in names:
        file = names[names.index("--prefect-file") + 1]
        assert (FOLDER / file).exists(), file
    for name in re.findall(r"--pool[ =](\S+)", " ".join(names)):
        pools = {"daily-sales", "daily-sales-docker", "daily-sales-kubernetes"}
        assert name in pools
