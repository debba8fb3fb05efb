import asyncio
from shutil import copy

import pytest
from prefect import flow
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    Settings,
    temporary_settings,
)
from pydantic import ValidationError

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/speed_up_the_suite"


@pytest.fixture(autouse=True)
def heartbeats_as_a_reader_has_them():
    setting = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY}
    with temporary_settings(restore_defaults=setting):
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() == 180
        yield


def test_a_typical_flow_run_waits_for_its_heartbeat(dont):
    assert dont.typical_test() >= 1


def test_without_heartbeats_a_flow_run_is_faster_than_that(do):
    # The fastest of three: a busy machine adds time, and never takes any away.
    assert min(do.typical_test() for _ in range(3)) < 1


def test_a_subflow_waits_once_more(dont):
    @flow
    def report():
        dont.count_orders([])
        dont.count_orders(["tea"])

    assert max(dont.seconds(report) for _ in range(2)) >= 2


def test_an_async_flow_does_not_wait(dont):
    @flow
    async def count_orders():
        return 0

    def run():
        asyncio.run(count_orders())

    assert min(dont.seconds(run) for _ in range(3)) < 1


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        ("0", "Input should be greater than or equal to 30"),
        ("None", "Input should be a valid integer"),
    ],
)
def test_no_environment_variable_switches_heartbeats_off(
    value, refusal, monkeypatch
):
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", value)
    with pytest.raises(ValidationError, match=refusal):
        Settings()


def test_the_fixture_in_conftest_switches_them_off(tmp_path):
    copy(ROOM / "conftest.py", tmp_path)
    (tmp_path / "test_suite.py").write_text(
        "from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY\n"
        "def test(): assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None\n"
    )
    suite = python("-m", "pytest", cwd=tmp_path)
    assert "1 passed" in suite.stdout, suite.stdout + suite.stderr
