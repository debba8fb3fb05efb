import re
from pathlib import Path
from shutil import copy

import pytest

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/start_one_harness_per_session"
SUITE = """
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client

@task(cache_policy=INPUTS)
def size(orders): return len(orders)

@flow
def count_orders(orders): return size(orders, return_state=True)

def test_first():
    assert count_orders(["tea"], return_state=True).name == "Completed"

def test_second():
    assert count_orders(["tea"], return_state=True).name == "Completed"
    with get_client(sync_client=True) as client:
        assert len(client.read_flow_runs()) == 2
"""


def run_pytest(*arguments: str | Path, cwd: Path) -> str:
    run = python("-m", "pytest", "-p", "no:randomly", *arguments, cwd=cwd)
    return run.stdout + run.stderr


def test_a_fixture_without_scope_starts_a_server_for_each_test(tmp_path):
    programs = (ROOM / "dont.py", ROOM / "do.py")
    plan = run_pytest("--setup-plan", *programs, cwd=tmp_path)
    assert plan.count("fixtures used: prefect_server") == 3 + 3
    assert plan.count("SETUP    F prefect_server") == 3
    assert plan.count("SETUP    S prefect_server") == 1


def test_one_server_serves_all_tests_and_its_start_is_the_slowest_part(
    tmp_path,
):
    copy(ROOM / "suite/conftest.py", tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    log = run_pytest("-s", "--durations=0", "-vv", cwd=tmp_path)

    assert "2 passed" in log, log
    assert log.count("Starting temporary server on http://127.0.0.1:") == 1
    (start, what), *rest = re.findall(r"([\d.]+)s (setup|call|teardown)", log)
    assert what == "setup"
    assert float(start) > sum(float(seconds) for seconds, _ in rest)


def test_a_slow_machine_exceeds_the_limit_of_the_start(monkeypatch):
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.testing.utilities import prefect_test_harness

    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})
    slow = prefect_test_harness(server_startup_timeout=1)
    with pytest.raises(RuntimeError) as error, slow:
        pass
    SubprocessASGIServer().stop()
    assert str(error.value) == (
        "Timed out while attempting to connect to ephemeral Prefect API server."
    )
