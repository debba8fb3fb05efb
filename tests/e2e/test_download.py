"""A new user unpacks the starter, gives it a name, and puts it to work."""

import re
import shutil
import sqlite3
import sys
import zipfile
from contextlib import closing
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from overrides import zips
from tests import git_host, starter
from tests.backend import prefect_server
from tests.e2e.office import SHOP
from tests.observe import client_of
from tests.programs import tool

pytestmark = pytest.mark.xdist_group("the zip")
UV = ("uv", "run", "--no-sync")
# Other files with a dot are what tools leave behind.
WANTED = (".dockerignore", ".env.example", ".github", ".gitignore")
WANTED += (".pre-commit-config.yaml",)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The project under a name of its own, with an environment, committed."""
    folder = tmp_path_factory.mktemp("somewhere")
    made = zips.packed(zips.STARTER, zips.starter_files())
    zipfile.ZipFile(BytesIO(made)).extractall(folder)
    project = folder / "daily-sales"
    run(project, sys.executable, "rename.py", "fuel-prices")
    readme = (starter.FOLDER / "README.md").read_text()
    make_it_yours = readme.split("## Make it yours\n")[1].split("\n## ")[0]
    for command in starter.commands_in(make_it_yours)[1:]:
        run(project, *command)
    git_host.git("-C", str(project), "init", "--quiet")
    git_host.git("-C", str(project), "add", ".")
    git_host.git("-C", str(project), "commit", "--quiet", "--message=Begin")
    return project


def run(folder, *command, **variables):
    environment = starter.environment(**variables)
    ended = tool(*command, cwd=folder, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_it_is_the_same_zip_each_time():
    files = zips.starter_files()
    made = zips.packed("daily-sales", files)
    assert made == zips.packed("daily-sales", dict(reversed(files.items())))
    names = {path.split("/")[0] for path in files}
    assert {"README.md", "prefect-rules", ".github", "uv.lock"} <= names
    hidden = {path.split("/")[0] for path in files if path.startswith(".")}
    assert hidden <= {*WANTED}, hidden


def test_the_old_name_is_gone(unpacked):
    left = tool("git", "grep", "-iE", "daily[-_]sales", cwd=unpacked)
    assert left.stdout == ""
    assert not (unpacked / "rename.py").exists()


def test_only_the_name_differs_in_the_lock(unpacked):
    renamed = (unpacked / "uv.lock").read_text()
    ours = zips.starter_files()["uv.lock"]
    blocks = [
        sorted(text.replace("fuel-prices", "daily-sales").split("\n\n"))
        for text in (renamed, ours)
    ]
    assert blocks[0] == blocks[1]


@pytest.mark.parametrize(
    "name", ["", "prices", "Fuel-Prices", "fuel prices", "1-fuel"]
)
def test_a_name_that_is_none_changes_nothing(tmp_path, name):
    file = shutil.copy(starter.FOLDER / "rename.py", tmp_path)
    ended = tool(sys.executable, file, *name.split(" "))
    assert ended.returncode == 1
    assert "Give a name of two words or more" in ended.stderr
    assert Path(file).read_text() == (starter.FOLDER / "rename.py").read_text()


def test_its_own_tests_pass(unpacked):
    passed = run(unpacked, *UV, "pytest", "-q", "--no-header")
    assert re.search(r"^\d+ passed", passed.splitlines()[-1])


def test_its_first_run_prints_what_readme_says(unpacked):
    said = run(unpacked, *UV, "python", "-m", "tests.first_run")
    readme = (unpacked / "README.md").read_text()
    assert re.search(r"```text\n(.+?)```", readme, re.S)[1] in said


def test_no_linter_finds_anything(unpacked):
    said = run(unpacked, *UV, "pre-commit", "run", "--all-files")
    hooks = re.findall(r"\.+(\w+)$", said, re.M)
    assert hooks == ["Passed"] * 5


def test_it_is_deployed_and_runs(unpacked, tmp_path):
    bare = str(tmp_path / "fuel-prices.git")
    git_host.git("clone", "--quiet", "--bare", str(unpacked), bare)
    clone = tmp_path / "clone"
    git_host.git("clone", "--quiet", bare, str(clone))
    yaml = clone / "prefect.yaml"
    address = "https://git.example.org/fuel-prices.git"
    assert address in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(address, bare))
    with (
        SHOP.open_shop() as shop,
        prefect_server(tmp_path / "server") as url,
    ):
        SHOP.send_files(tmp_path / "csv")
        settings = {
            name.replace("DAILY_SALES", "FUEL_PRICES"): value
            for name, value in SHOP.variables(tmp_path, shop).items()
        } | {
            "PREFECT_API_URL": url,
            "PREFECT_HOME": str(tmp_path / "prefect"),
        }
        team = partial(run, clone, *UV, "--project", unpacked, **settings)
        team("fuel-prices", "set-up")
        team("prefect", "deploy", "--all")
        ask = ["deployment", "run", "load-fuel-prices/nightly", "--param"]
        team("prefect", *ask, f"day={SHOP.DAY}")
        work = ["worker", "start", "--run-once", "--pool", "fuel-prices"]
        team("prefect", *work)
        with client_of(url) as api:
            (done,) = [r for r in api.read_flow_runs() if not r.auto_scheduled]
    assert done.state_name == "Completed"
    with closing(sqlite3.connect(tmp_path / "sales.db")) as database:
        count = "select count(*) from fuel_prices"
        assert database.execute(count).fetchone() == (5,)


UPSERT = "insert.on_conflict_do_update(SALES.primary_key, set_=new)"
STATE = '"prefect.state-%s": ["FAILED", "CRASHED"]'
# What may be wrong in a module, by the test that notices it.
IN_THE_TABLE = {"the_second_time": ("table", UPSERT, "insert")}
# To each of these tests the other two make no difference.
AROUND_IT = {
    "only_what_passes": ("flows", "retries=3", "retries=2"),
    "for_each_day": ("flows", "INPUTS + TASK_SOURCE", "TASK_SOURCE"),
    "told_by_its_type[TimedOut-True]": (
        "automations",
        STATE % "type",
        STATE % "name",
    ),
}


@pytest.mark.parametrize("mistakes", [IN_THE_TABLE, AROUND_IT])
def test_its_own_tests_notice(unpacked, tmp_path, mistakes):
    package = tmp_path / "fuel_prices"
    shutil.copytree(unpacked / "src/fuel_prices", package)
    for name, right, wrong in mistakes.values():
        module = package / f"{name}.py"
        code = module.read_text()
        assert right in code
        module.write_text(code.replace(right, wrong, 1))
    # What PYTHONPATH names comes before what the environment has installed.
    environment = starter.environment(PYTHONPATH=str(tmp_path))
    command = [*UV, "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-k", " or ".join(mistakes)]
    said = tool(*command, cwd=unpacked, env=environment).stdout
    failed = "".join(re.findall("^FAILED .+", said, re.M))
    assert [test for test in mistakes if test not in failed] == [], said
