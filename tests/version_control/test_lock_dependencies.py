import re
from subprocess import CalledProcessError

import pytest

from tests.book import ROOT

# What a client sends when its caller names no limit.
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


def packages(resolved):
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", resolved, re.MULTILINE))


def test_the_same_file_means_other_packages_two_days_later(dont):
    first, later = map(packages, dont.builds())

    assert first["prefect"] == later["prefect"] == "3.8.8"
    assert (first["fastapi"], later["fastapi"]) == ("0.146.0", "0.156.4")
    assert len([name for name in first if first[name] != later[name]]) == 9


@pytest.mark.parametrize(
    ("package", "program", "said"),
    [
        (
            "fastapi==0.155.0",
            "import prefect.testing.utilities",
            "TypeError: Body() got an unexpected keyword argument 'min_items'",
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
    dont, package, program, said
):
    assert dont.run_with(package, program) == said


def test_a_lock_means_the_same_packages_two_days_later(do):
    first, later = do.builds()

    assert len(packages(first)) > 100
    assert packages(first) == packages(later)


def test_a_package_with_another_hash_is_not_installed(do, tmp_path, capfd):
    lock = do.resolve("toml==0.10.2", do.DAYS[0], "--generate-hashes")
    changed = re.sub("sha256:[0-9a-f]+", "sha256:" + 64 * "0", lock)

    with pytest.raises(CalledProcessError):
        do.uv("install", "--target", f"{tmp_path}", "-r", "-", stdin=changed)
    assert "Hash mismatch for `toml==0.10.2`" in capfd.readouterr().err
    assert not (tmp_path / "toml").exists()


def test_the_lock_of_this_site_has_a_hash_for_every_package():
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    entries = re.split(r"\n(?=\w)", lock)
    assert [e for e in entries if "==" not in e or "--hash=" not in e] == []
