import asyncio
import time
from shutil import copy
from statistics import median
from threading import Event, current_thread

import pytest
from prefect import flow
from prefect.flow_engine import FlowRunEngine
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    Settings,
    temporary_settings,
)
from pydantic import ValidationError

from tests.backend import patient
from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/speed_up_the_suite"
READ = """
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY as setting
print(setting.value())
"""
SUITE = """
import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY as setting

@pytest.fixture(scope="session")
def frequency(): return setting.value()

def test(frequency): assert frequency is None
"""


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


def test_a_flow_run_that_has_ended_waits_for_its_heartbeat(dont, monkeypatch):
    """A sync flow run that does nothing takes a second, because at its end it
    waits for the thread of its heartbeats.

    A sync flow that has ended waits until this thread wakes and stops.
    So even a flow run that does nothing takes a second.
    """
    waits = []
    three_runs = seconds(lambda: waits.append(dont.typical_wait()))
    assert waits[0] > 0.5
    # A run may end while its first heartbeat is on its way, and not wait.
    assert three_runs >= 2


def test_a_heartbeat_is_sent_every_180_seconds(dont, monkeypatch):
    """While a flow runs, Prefect sends a heartbeat to the server every 180
    seconds. A thread does this, and between two heartbeats it sleeps for one
    second at a time.
    """
    beating, sent, slept, twice = set(), [], [], Event()

    def emit(engine, *event):
        beating.add(current_thread())
        sent.append(len(slept))
        if len(sent) == 2:
            twice.set()

    def fast_sleep(seconds, sleep=time.sleep):
        if current_thread() in beating:
            slept.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(FlowRunEngine, "_emit_flow_run_heartbeat", emit)
    monkeypatch.setattr(time, "sleep", fast_sleep)
    flow(lambda: twice.wait(patient(30)))()
    assert sent[:2] == [0, 180]
    assert {*slept} == {1}


def test_without_heartbeats_it_does_not_wait(do):
    """Switch heartbeats off while the tests run."""
    assert do.typical_wait() < 0.5
    do.test_two_orders()


def test_a_subflow_waits_once_more(dont):
    """Each sync subflow has such a thread too and adds its own wait."""

    @flow
    def report():
        dont.total([])
        dont.total([30])

    assert seconds(report) >= 2


def test_an_async_flow_does_not_wait():
    """An async flow does not wait."""

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
        ("", "Input should be a valid integer"),
    ],
)
def test_no_environment_variable_switches_heartbeats_off(
    value, refusal, monkeypatch
):
    """An environment variable cannot do this. The setting must be `None`, and
    the value of a variable is a text: `0` is too small, and neither `None` nor
    an empty text is a number.
    """
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", value)
    with pytest.raises(ValidationError, match=refusal):
        Settings()


def test_the_fixture_in_conftest_switches_them_off(tmp_path):
    """With pytest, this fixture in `conftest.py` does it for all tests in its
    folder and in the folders below it.
    """
    copy(ROOM / "conftest.py", tmp_path)
    for test in (tmp_path / "test_suite.py", tmp_path / "flows/test_flow.py"):
        test.parent.mkdir(exist_ok=True)
        test.write_text(SUITE)
    suite = python("-m", "pytest", cwd=tmp_path)
    assert "2 passed" in suite.stdout, suite.stdout + suite.stderr


def test_another_process_keeps_its_heartbeats(tmp_path):
    """The fixture changes the settings of the process that runs the tests. A
    process that your test starts, such as a worker, keeps its heartbeats.
    """
    (tmp_path / "read.py").write_text(READ)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        read = python("read.py", cwd=tmp_path)
    assert read.stdout == "180\n", read.stderr
