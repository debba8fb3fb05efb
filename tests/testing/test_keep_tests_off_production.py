import os
import sys
from contextlib import contextmanager
from runpy import run_path
from shutil import copy
from unittest.mock import Mock

import pytest
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from tests.book import ROOT
from tests.programs import python, tool

ROOM = ROOT / "snippets/testing/keep_tests_off_production"
CLOSED = "http://127.0.0.1:9/api"
BOTH = ["Completed", "Failed"]
# What a test starts in a process of its own, and what some files do on import.
CALL = "from prefect import flow\nflow(lambda: None, name='total-refunds')()\n"
LATE = f"""
import os, prefect.settings
os.environ["PREFECT_API_URL"] = "{CLOSED}"
print(prefect.settings.PREFECT_API_URL.value())
"""


@pytest.fixture(autouse=True)
def no_run_is_left(dont):
    """Begin without what a test has stored that failed before its end."""
    dont.take_from_your_server()


@pytest.fixture
def harness_is(monkeypatch):
    """Let the harness find a server that is up, and not start its own."""

    def harness_is(url):
        server = Mock(_instances={}, **{"return_value.api_url": url})
        name = "prefect.testing.utilities.SubprocessASGIServer"
        monkeypatch.setattr(name, server)
        return server.return_value.start

    return harness_is


def named_in_files(folder, *files):
    """Write a `.env` and a home with a profile, of which some name a server."""
    url, home = os.environ["PREFECT_API_URL"], folder / "home"
    home.mkdir()
    profile = 'active = "team"\n[profiles.team]\n'
    if "profile" in files:
        profile += f'PREFECT_API_URL = "{url}"\n'
    (home / "profiles.toml").write_text(profile)
    if ".env" in files:
        (folder / ".env").write_text(f"PREFECT_API_URL={url}\n")
    return home


def entered(fixture):
    """The context of a fixture, outside of pytest."""
    return contextmanager(fixture.__wrapped__)()


@pytest.mark.parametrize("named_in", ["environment", ".env", "profile"])
def test_a_flow_test_runs_on_the_server_that_your_settings_name(
    named_in, dont, tmp_path
):
    """A flow test runs on the server that your settings name, and if that is
    production, its runs are stored there.

    To call a flow in a test is to run it. It does not matter whether the
    address stands in the environment, in a `.env` file or in a profile. The
    second test wants the flow to fail, so your server now has a `Failed` run.
    """
    home = named_in_files(tmp_path, named_in)
    url = os.environ["PREFECT_API_URL"]
    suite = python(
        *("-m", "pytest", ROOM / "dont.py"),
        cwd=tmp_path,
        PREFECT_HOME=str(home),
        PREFECT_API_URL=url if named_in == "environment" else None,
    )
    assert "2 passed" in suite.stdout, suite.stdout + suite.stderr
    assert dont.take_from_your_server() == BOTH


def test_a_test_that_deploys_takes_the_deployment_of_production(do, api):
    """If a deployment of that name is there, the test replaces it and its
    schedule, and the clean-up at the end of the test deletes it.

    A test that calls `run_deployment` asks production's workers for a run.
    """
    total_refunds = do.total_refunds.with_options(name="total-old-refunds")
    production = total_refunds.to_deployment(
        "nightly", cron="0 2 * * *"
    ).apply()
    assert len(api.read_deployment(production).schedules) == 1

    run = run_deployment(
        production, parameters={"day": "2026-03-01"}, timeout=0
    )
    assert run.deployment_id == production and run.state.is_scheduled()
    assert do.take_from_your_server() == []  # it is a run of another flow

    assert total_refunds.to_deployment("nightly").apply() == production
    assert api.read_deployment(production).schedules == []
    api.delete_deployment(production)
    with pytest.raises(ObjectNotFound):
        api.read_deployment(production)


def test_in_the_harness_no_run_reaches_your_server(do, harness_is):
    """In `prefect_test_harness` the same tests leave nothing on your server.

    The harness changes the settings of the process that runs the tests.
    """
    yours = PREFECT_API_URL.value()
    start = harness_is(CLOSED)
    with entered(do.prefect_server):
        start.assert_called_once_with(timeout=120)
        assert PREFECT_API_URL.value() == CLOSED
        with pytest.raises(RuntimeError, match=f"reach API at {CLOSED}"):
            do.test_total()
    assert PREFECT_API_URL.value() == yours
    assert do.take_from_your_server() == []


def test_a_process_that_a_test_starts_is_outside_of_the_harness(
    do, tmp_path, harness_is
):
    """A script that a test starts with `subprocess` reads your settings anew,
    so its run is stored on your server all the same.
    """
    (tmp_path / "call.py").write_text(CALL)
    harness_is(CLOSED)
    with entered(do.prefect_server):
        assert python("call.py", cwd=tmp_path).returncode == 0
    assert do.take_from_your_server() == ["Completed"]


def test_what_runs_on_import_is_outside_of_the_harness(do, tmp_path):
    """So is what your files do when pytest imports them, because that happens
    before the first fixture.

    With this file, what gets around the harness fails with `Failed to reach
    API` and leaves nothing anywhere.

    They are stronger than a `.env` file and a profile: see Move between servers
    by profile.
    """
    program = f"from do import prefect_server\n{CALL}def test_nothing(): ..."
    (tmp_path / "test_call.py").write_text(program)
    copy(ROOM / "do.py", tmp_path)
    home = named_in_files(tmp_path, ".env", "profile")
    unset = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"}

    def collect():
        return tool(
            *(sys.executable, "-m", "pytest", "--collect-only"),
            cwd=tmp_path,
            env=unset | {"PREFECT_HOME": str(home)},
        ).stdout

    assert "1 test collected" in collect()
    assert do.take_from_your_server() == ["Completed"]

    copy(ROOM / "suite/conftest.py", tmp_path)
    said = f"RuntimeError: Failed to reach API at {CLOSED}/"
    assert said in (collected := collect()), collected
    assert do.take_from_your_server() == []


def test_prefect_reads_the_environment_only_once(tmp_path):
    """The first lines must come before the first import of Prefect, because it
    reads the environment then and not again.
    """
    (tmp_path / "late.py").write_text(LATE)
    late = python("late.py", cwd=tmp_path)
    assert late.stdout == f"{os.environ['PREFECT_API_URL']}\n", late.stderr


def test_the_conftest_gives_the_address_to_other_processes(
    do, tmp_path, monkeypatch, harness_is
):
    """While the tests run, the environment names the harness, so the processes
    that they start use it too.
    """
    shared = os.environ["PREFECT_API_URL"]
    monkeypatch.setenv("PREFECT_API_URL", shared)  # and back at the end
    (tmp_path / "call.py").write_text(CALL)
    start = harness_is(shared)
    conftest = run_path(str(ROOM / "suite/conftest.py"))
    assert os.environ["PREFECT_API_URL"] == CLOSED
    assert python("call.py", cwd=tmp_path).returncode == 1

    with entered(conftest["prefect_server"]):
        assert python("call.py", cwd=tmp_path).returncode == 0
    start.assert_called_once_with(timeout=120)
    assert os.environ["PREFECT_API_URL"] == CLOSED
    assert do.take_from_your_server() == ["Completed"]

    (tmp_path / "test_nothing.py").write_text("def test_nothing(): ...")
    copy(ROOM / "suite/conftest.py", tmp_path)
    plan = python("-m", "pytest", "--setup-plan", cwd=tmp_path).stdout
    assert "SETUP    S prefect_server" in plan
