import os
import re
import runpy
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from tests.book import ROOT
from tests.programs import tool

# What a client of Prefect 3.8.8 sends when its caller names no limit.
ASK_FOR_RUNS = """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prefect.server.api.flow_runs import router
app = FastAPI()
app.include_router(router)
answer = TestClient(app).post("/flow_runs/filter", json={"limit": None})
print(answer.status_code, answer.json()["detail"][0]["msg"])
"""
# What the scheduler does with each run that it has planned.
SCHEDULE_A_RUN = """
import asyncio
from uuid import uuid4
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from prefect.server.models.deployments import _insert_scheduled_flow_runs
session = AsyncSession(create_async_engine("sqlite+aiosqlite://"))
run = {"id": uuid4(), "flow_id": uuid4(), "state": {"type": "SCHEDULED"}}
asyncio.run(_insert_scheduled_flow_runs(session=session, runs=[run]))
"""
BOUNDS = """
from importlib.metadata import requires
print(*[line for line in requires("prefect") if line.startswith("fastapi<")])
"""
BEGIN = """
import prefect
try:
    import prefect.testing.utilities
    print("works")
except TypeError as error:
    print(error)
"""


def packages(resolved):
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", resolved, re.MULTILINE))


@pytest.fixture(scope="module")
def first_build(tmp_path_factory):
    """Run programs in what was built on the first day, with another package."""
    room = ROOT / "snippets/version_control/lock_dependencies"
    do = runpy.run_path(str(room / "do.py"))
    folder = tmp_path_factory.mktemp("build")
    python = f"{folder}/env/bin/python"
    install = ("pip", "install", "--python", python)
    do["uv"]("venv", f"{folder}/env")
    do["uv"](*install, "-r", "-", stdin=do["builds"]()[0])

    def run_with(package, program):
        other = f"{folder}/{package}"
        do["uv"](*install, "--no-deps", "--target", other, package)
        env = {"PYTHONPATH": other, "PYTHONDONTWRITEBYTECODE": ""}
        ran = tool(python, "-c", program, env=os.environ | env)
        return (ran.stdout or ran.stderr).splitlines()[-1]

    return run_with


def test_the_same_file_means_other_packages_two_days_later(dont):
    """A pinned Prefect still takes the newest release of everything below it,
    so one file installs other packages on another day.

    These two lines install more than a hundred packages.

    In the two days between the builds, nine packages changed.
    """
    first, later = map(packages, dont.builds())

    assert len(dont.REQUIREMENTS.splitlines()) == 2
    assert len(first) > 100
    assert first["prefect"] == later["prefect"] == "3.8.8"
    assert (first["fastapi"], later["fastapi"]) == ("0.146.0", "0.156.4")
    assert len([name for name in first if first[name] != later[name]]) == 9


@pytest.mark.parametrize(
    ("package", "program", "said"),
    [
        (
            "fastapi==0.146.0",
            BOUNDS,
            "fastapi<1.0.0,>=0.139.0",
        ),
        ("fastapi==0.154.0", BEGIN, "works"),
        (
            "fastapi==0.155.0",
            BEGIN,
            "Body() got an unexpected keyword argument 'min_items'",
        ),
        (
            "fastapi==0.151.0",
            ASK_FOR_RUNS,
            "422 Input should be a valid integer",
        ),
        (
            "sqlalchemy==2.1.9",
            SCHEDULE_A_RUN,
            "sqlalchemy.exc.InvalidRequestError: Can't evaluate bulk DML"
            " statement; please supply a bulk_dml decorated function",
        ),
    ],
    ids=lambda value: value.splitlines()[0],
)
def test_a_release_of_another_project_breaks_a_pinned_version(
    first_build, package, program, said
):
    """Prefect 3.8.8 asks for `fastapi<1.0.0,>=0.139.0`, and uv takes the
    newest release that fits.

    fastapi 0.155 removed an argument that the server of Prefect 3.8.8 uses.
    `import prefect` still works, but `prefect.testing.utilities`, which has
    the test harness, does not.

    With fastapi 0.151 the server of Prefect 3.8.8 answers 422 if a client asks
    for a list with the limit `null`.

    With sqlalchemy 2.1 the scheduler of that server cannot store the runs of a
    schedule.
    """
    assert first_build(package, program) == said


def test_the_pinned_prefect_leaves_others_without_a_bound():
    """A pinned Prefect still takes the newest release of everything below it,
    so one file installs other packages on another day.

    Prefect 3.9 asks for `fastapi<0.151`, which keeps both of these releases of
    fastapi out. But it sets no upper bound for httpx, starlette or uvicorn, and
    a release of these can do the same tomorrow.
    """
    asked = {r.name: r.specifier for r in map(Requirement, requires("prefect"))}

    assert [asked["fastapi"].contains(v) for v in ("0.150", "0.151")] == [1, 0]
    for name in ("httpx", "starlette", "uvicorn"):
        assert asked[name].contains("1000")


def test_a_lock_means_the_same_packages_two_days_later(do):
    """Let uv write down once which release of each package it chose, with the
    hash of each file.
    """
    first, later = do.builds()
    again = do.resolve(first, do.DAYS[1])

    assert first == later
    assert packages(again) == packages(first)
    assert [line for line in first.splitlines() if "==" in line] == re.findall(
        r"^.+==.+ \\(?=\n    --hash=sha256:)", first, re.MULTILINE
    )


def test_the_lock_is_a_file_for_every_platform(do, tmp_path):
    """`uv pip compile --universal --generate-hashes requirements.in -o
    requirements.txt` writes it for every platform, and
    `pip install --require-hashes -r requirements.txt` installs it. A file with
    another hash is refused.
    """
    (tmp_path / "requirements.in").write_text("click==8.3.0")
    lock = tmp_path / "requirements.txt"
    compile = "uv pip compile --universal --generate-hashes requirements.in"
    install = "pip install --require-hashes -r requirements.txt"
    for command in (f"{compile} -o {lock.name}", f"{install} --dry-run"):
        ran = tool(*command.split(), cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    assert "sys_platform == 'win32'" in lock.read_text()

    wrong = re.sub("sha256:[0-9a-f]+", "sha256:" + 64 * "0", lock.read_text())
    lock.write_text(wrong)
    refused = tool(*install.split(), "--dry-run", cwd=tmp_path)
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert refused.returncode == 1


def test_the_lock_of_this_site_has_a_hash_for_every_package():
    """This site is built from such a lock, with a hash for every package."""
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    entries = re.split(r"\n(?=\w)", lock)
    assert [e for e in entries if "==" not in e or "--hash=" not in e] == []
