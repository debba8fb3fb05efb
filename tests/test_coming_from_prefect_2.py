"""Old advice, row by row: it fails as the page says, and the new way works."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from prefect.client.schemas.actions import WorkPoolCreate

from tests.book import ROOT
from tests.programs import python, tool

FILE = ROOT / "snippets/coming_from_prefect_2.toml"
ROWS = tomllib.loads(FILE.read_text("utf-8"))["row"]


def run(line: str, folder: Path, given: str = "") -> str:
    """Run a command of the page, or a line of Python.

    A name that Prefect moved still imports, with a warning: here it raises.

    Returns:
        What went wrong, or nothing.
    """
    if line.startswith("prefect "):
        ended = python("-m", *shlex.split(line), cwd=folder, COLUMNS="300")
        return ended.stdout + ended.stderr if ended.returncode else ""
    names: dict[str, object] = {}
    exec(given, names)
    try:
        with warnings.catch_warnings(action="error"):
            exec(line, names)
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["old"])
def test_the_old_way_fails_as_the_page_says(row, tmp_path):
    said = run(row["old"], tmp_path, row.get("given", ""))
    assert row["says"] in said
    assert row.get("warns", False) == said.endswith(
        "This warning will raise an error in a future release."
    )
    assert row.get("warns", False) == (row["topic"] == "What only warns")


@pytest.mark.parametrize("row", [row for row in ROWS if row.get("warns")])
def test_what_only_warns_still_works(row):
    with pytest.warns(DeprecationWarning, match=re.escape(row["says"])):
        exec(row["old"], {})


def test_python_hides_the_warning_in_imported_modules(tmp_path):
    lines = [row["old"] for row in ROWS if row.get("warns")]
    (tmp_path / "module.py").write_text(lines[0])
    (tmp_path / "program.py").write_text(f"import module\n{lines[1]}")
    ended = tool(sys.executable, "program.py", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "program.py:2: DeprecationWarning" in ended.stderr
    assert "module.py" not in ended.stderr


@pytest.mark.parametrize("new", sorted({row["new"] for row in ROWS}))
def test_the_new_way_works(new, tmp_path):
    assert run(new, tmp_path) == ""


def test_deploy_ignores_old_keys_in_silence(api, tmp_path):
    name = "coming-from-prefect-2"
    api.create_work_pool(WorkPoolCreate(name=name, type="process"))
    (tmp_path / "load.py").write_text(
        "from prefect import flow\n@flow\ndef load(): pass\n"
    )

    def deployed(keys: str, in_pool: str = "", in_schedule: str = ""):
        (tmp_path / "prefect.yaml").write_text(
            "deployments:\n"
            f"- name: {name}\n"
            "  entrypoint: load.py:load\n"
            f"  work_pool: {{name: {name}{in_pool}}}\n"
            f"  schedule: {{cron: 0 6 * * *, timezone: UTC{in_schedule}}}\n"
            f"{keys}"
        )
        command = ("-m", "prefect", "--no-prompt", "deploy", "--all")
        ended = python(*command, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "infra_overrides" not in ended.stdout + ended.stderr
        assert "is_schedule_active" not in ended.stdout + ended.stderr
        found = api.read_deployment_by_name(f"load/{name}")
        [schedule] = found.schedules
        return found.paused, schedule.active, found.job_variables

    old = "  is_schedule_active: false\n  infra_overrides: {image: flows}\n"
    try:
        assert deployed(old) == (False, True, {})
        new = ", job_variables: {image: flows}", ", active: false"
        seen = deployed("  paused: true\n", *new)
        assert seen == (True, False, {"image": "flows"})
    finally:
        api.delete_work_pool(name)
        found = api.read_deployment_by_name(f"load/{name}")
        api.delete_deployment(found.id)


def test_what_still_works_gives_no_warning():
    with warnings.catch_warnings(action="error"):
        from prefect import flow, task
        from prefect.task_runners import (
            ConcurrentTaskRunner,
            ThreadPoolTaskRunner,
        )
        from prefect.tasks import task_input_hash

        assert ConcurrentTaskRunner is ThreadPoolTaskRunner
        size = task(lambda text: len(text), cache_key_fn=task_input_hash)
        load = flow(lambda: size("ab")).with_options(name="load")
        assert load() == 2 and load.name == "load"
