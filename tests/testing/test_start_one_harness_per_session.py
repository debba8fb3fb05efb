import inspect
import re
from contextlib import contextmanager, nullcontext
from pathlib import Path
from runpy import run_path
from shutil import copy

import pytest

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/start_one_harness_per_session"
SUITE = """
import os
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY

@task(cache_policy=INPUTS)
def size(orders): return len(orders)

@flow
def ended(orders): return size(orders, return_state=True).name

def test_first():
    assert ended(["tea"]) == "Completed"
    assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
    assert PREFECT_API_URL.value() != os.environ["PREFECT_API_URL"]

def test_second():
    assert ended(["tea"]) == "Completed"
    with get_client(sync_client=True) as client:
        assert len(client.read_flow_runs()) == 2
"""


def run_pytest(*arguments: str | Path, cwd: Path) -> str:
    run = python("-m", "pytest", "-p", "no:randomly", *arguments, cwd=cwd)
    return run.stdout + run.stderr


def test_a_fixture_without_scope_starts_a_server_for_each_test(tmp_path):
    """Prefect's test harness starts a server, and without a scope the fixture
    starts a new one for each test.

    A fixture without a scope is set up again for each test, so each test waits
    for a server of its own.

    Then the first test waits for the server, and the others use it.
    """
    programs = (ROOM / "dont.py", ROOM / "do.py")
    plan = run_pytest("--setup-plan", *programs, cwd=tmp_path)
    assert plan.count("fixtures used: prefect_server") == 3 + 3
    assert plan.count("SETUP    F prefect_server") == 3
    assert plan.count("SETUP    S prefect_server") == 1


def test_one_server_serves_all_tests_and_its_start_is_the_slowest_part(
    tmp_path,
):
    """The start takes longer than two tests of a small flow together.

    The following file starts one server without heartbeats and gives each test
    its own result storage.

    A flow test in the harness stores its run there.

    All tests now share one database, so a test sees the runs of the tests
    before it.
    """
    copy(ROOM / "suite/conftest.py", tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    log = run_pytest("-s", "--durations=0", "-vv", cwd=tmp_path)

    assert "2 passed" in log, log
    assert log.count("Starting temporary server on http://127.0.0.1:") == 1
    (start, what), *rest = re.findall(r"([\d.]+)s (setup|call|teardown)", log)
    assert what == "setup"
    assert float(start) > sum(float(seconds) for seconds, _ in rest)


def test_a_slow_machine_exceeds_the_limit_of_the_start(monkeypatch):
    """By default the harness waits 30 seconds until its server answers.

    On a busy machine that can be too short, and then it raises the
    `RuntimeError` above.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.testing.utilities import prefect_test_harness

    options = inspect.signature(prefect_test_harness).parameters
    assert options["server_startup_timeout"].default == 30

    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    slow = prefect_test_harness(server_startup_timeout=1)
    with pytest.raises(RuntimeError) as error, slow:
        pass
    SubprocessASGIServer().stop()
    assert str(error.value) == (
        "Timed out while attempting to connect to ephemeral Prefect API server."
    )


def test_the_conftest_gives_the_server_more_time(monkeypatch):
    """It allows the server 120 seconds to start, because a CI machine may be
    slow.
    """
    asked = []

    def harness(**options):
        asked.append(options)
        return nullcontext()

    name = "prefect.testing.utilities.prefect_test_harness"
    monkeypatch.setattr(name, harness)
    fixture = run_path(ROOM / "suite/conftest.py")["prefect_server"]
    with contextmanager(fixture.__wrapped__)():
        assert asked == [{"server_startup_timeout": 120}]


def test_without_the_harness_a_flow_test_runs_on_your_server(do, api):
    """One outside of it stores its run on the server that
    `PREFECT_API_URL` names, even if that is the server of production.
    """
    for test in (do.test_no_orders, do.test_one_order, do.test_two_orders):
        test()
    state = do.total([30], return_state=True)
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state.is_completed()


def test_an_automatic_fixture_starts_a_server_for_plain_functions(tmp_path):
    """With `autouse=True` the server starts even if you run only a test of a
    plain function.

    Put the `conftest.py` into the folder of the flow tests, and keep the tests
    of plain functions outside of it.
    """
    for folder in ("flows", "functions"):
        (tmp_path / folder).mkdir()
        test = tmp_path / folder / f"test_{folder}.py"
        test.write_text("def test_mean(): assert sum([9.5, 10.5]) / 2 == 10")
    copy(ROOM / "suite/conftest.py", tmp_path / "flows")
    plan = run_pytest("--setup-plan", cwd=tmp_path)
    assert plan.count("SETUP    S prefect_server") == 1
    flows, functions = re.findall("^ +f.*::test_mean.*", plan, re.MULTILINE)
    assert "prefect_server" in flows and "prefect_server" not in functions
