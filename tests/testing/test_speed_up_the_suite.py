import asyncio
import time
from shutil import copy
from statistics import median

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


def seconds(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def test_a_flow_run_that_has_ended_waits_for_its_heartbeat(dont):
    assert dont.typical_wait() > 0.5
    assert median(seconds(dont.test_no_orders) for _ in range(3)) >= 1


def test_without_heartbeats_it_does_not_wait(do):
    assert do.typical_wait() < 0.5


def test_a_subflow_waits_once_more(dont):
    @flow
    def report():
        dont.count_orders([])
        dont.count_orders(["tea"])

    assert max(seconds(report) for _ in range(2)) >= 2


def test_an_async_flow_does_not_wait():
    @flow
    async def count_orders():
        return time.monotonic()

    def waited():
        ended = asyncio.run(count_orders())
        return time.monotonic() - ended

    assert median(waited() for _ in range(3)) < 0.5


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
