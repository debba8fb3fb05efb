import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from unittest.mock import Mock
from urllib.parse import urlsplit

import httpx
import pytest
import respx
import vcr
from prefect import flow
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_LOGGING_TO_API_BATCH_INTERVAL,
    temporary_settings,
)
from vcr.errors import CannotOverwriteExistingCassetteException
from vcr.request import Request

from tests.backend import patient
from tests.observe import log_messages, settles, task_runs
from tests.programs import python

PRICES = "https://prices.example/prices"
NAMES = {
    "respx": "[respx](https://lundberg.github.io/respx/)",
    "pytest-httpx": "[pytest-httpx](https://colin-b.github.io/pytest_httpx/)",
    "VCR.py": "[VCR.py](https://vcrpy.readthedocs.io/en/latest/advanced.html)",
}
THROUGH = {
    "respx": 'respx_mock.route(host="127.0.0.1").pass_through()',
    "pytest-httpx": (
        "@pytest.mark.httpx_mock("
        'should_mock=lambda call: call.url.host != "127.0.0.1")'
    ),
    "VCR.py": "vcr.VCR(ignore_localhost=True)",
}
# The tests of three tools, first as most people write them. A flow test before
# them, or none, makes a difference.
SUITE = f"""
import httpx, pytest, respx, vcr
from prefect import flow
from prefect.logging.handlers import APILogWorker

@flow
def total():
    return sum(httpx.get("{PRICES}").json())

def test_respx_first(respx_mock):
    respx_mock.get("{PRICES}").respond(json=[9.5, 10.5])
    total()

@pytest.mark.respx(assert_all_mocked=False, assert_all_called=False)
def test_respx_all(respx_mock):
    total()

def test_respx_through(respx_mock):
    {THROUGH["respx"]}
    respx_mock.get("{PRICES}").respond(json=[9.5, 10.5])
    assert total() == 20.0

def test_respx(respx_mock):
    respx_mock.get("{PRICES}").respond(json=[9.5, 10.5])
    total()

@pytest.mark.httpx_mock(
    assert_all_responses_were_requested=False,
    assert_all_requests_were_expected=False,
)
def test_pytest_httpx(httpx_mock):
    httpx_mock.add_response(url="{PRICES}", json=[9.5, 10.5])
    total()

{THROUGH["pytest-httpx"]}
def test_pytest_httpx_through(httpx_mock):
    httpx_mock.add_response(url="{PRICES}", json=[9.5, 10.5])
    assert total() == 20.0

def test_nothing(httpx_mock):
    APILogWorker.drain_all()
"""


@pytest.fixture
def testing(monkeypatch):
    """The module of the harness, which finds a server that is up already."""
    from prefect.testing import utilities

    url = PREFECT_API_URL.value()
    server = Mock(_instances={}, **{"return_value.api_url": url})
    monkeypatch.setattr(utilities, "SubprocessASGIServer", server)
    return utilities


@pytest.fixture
def cassette(tmp_path):
    return tmp_path / "total.yaml"


@pytest.fixture(autouse=True)
def nothing_is_on_its_way():
    """Begin without the logs of other tests."""
    APILogWorker.drain_all()


def calls(cassette):
    """What is recorded, without the ids in it."""
    uris = re.findall("uri: (.*)", cassette.read_text())
    return [re.sub("[0-9a-f-]{36}", "ID", urlsplit(u).path) for u in uris]


def runs(api, flow):
    """The ids of its last flow runs."""
    name = FlowFilterName(any_=[flow.name])
    found = api.read_flow_runs(
        flow_filter=FlowFilter(name=name),
        sort=FlowRunSort.START_TIME_DESC,
        limit=20,
    )
    return {run.id for run in found}


def test_a_recorder_takes_the_calls_of_prefect_and_does_not_find_them_again(
    dont, cassette, api
):
    """VCR also records Prefect's calls to its API, so the next run of the test
    fails: its calls differ from the recorded ones.

    Prefect calls its API through httpx, as the task calls the vendor, so VCR
    takes these calls too. The first run has no cassette yet and passes, but
    most of what it records is Prefect's. The second run fails before there is a
    flow run: Prefect asks for a token under a new id, and the cassette has no
    such call.
    """
    assert isinstance(api._client, httpx.Client)
    before = runs(api, dont.sum_prices)
    dont.test_total(cassette)
    assert len(runs(api, dont.sum_prices) - before) == 1
    own = [path for path in calls(cassette) if path.startswith("/api/")]
    assert {"/api/flow_runs/", "/api/flow_runs/ID/set_state"} <= {*own}
    assert len(own) > len(calls(cassette)) / 2
    assert calls(cassette).count("/prices") == 1

    with pytest.raises(CannotOverwriteExistingCassetteException) as error:
        dont.test_total(cassette)
    assert "/api/csrf-token?client=" in str(error.value)
    assert "Can't play back this request" in str(error.value)
    assert len(runs(api, dont.sum_prices) - before) == 1


@pytest.mark.parametrize(
    ("mode", "token"), [("new_episodes", True), ("once", False)]
)
def test_a_recorded_answer_stands_in_for_a_new_flow_run(
    mode, token, dont, cassette, api
):
    """With `record_mode="new_episodes"`, or without the token
    (`PREFECT_CLIENT_CSRF_SUPPORT_ENABLED=false`), the second run passes, but it
    has no flow run of its own. The cassette answers with the id of the first
    one, and the API stores the new task run in that.
    """
    # What sends task runs connects through httpx, and later needs it no more.
    ready = dont.sum_prices(return_state=True)
    once = [("fetch_prices", "Completed", 1)]
    settles(lambda: task_runs(api, ready), once)

    before = runs(api, dont.sum_prices)
    states = []
    for _ in range(2):
        with (
            temporary_settings({PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: token}),
            vcr.use_cassette(cassette, record_mode=mode),
        ):
            states.append(dont.sum_prices(return_state=True))
    first, second = (state.state_details.flow_run_id for state in states)
    assert first == second and states[1].is_completed()
    assert len(runs(api, dont.sum_prices) - before) == 1
    settles(lambda: task_runs(api, states[0]), once * 2)


def test_the_key_of_your_profile_is_on_the_cassette(
    dont, do, cassette, testing
):
    """Each of Prefect's calls carries the API key of your profile, and the
    cassette keeps it. The harness changes the address of the API and not the
    key, so this happens even if no test reaches Prefect Cloud.
    """
    cloud = {
        PREFECT_API_URL: "https://api.prefect.cloud/api",
        PREFECT_API_KEY: "not-a-key",
    }
    with temporary_settings(cloud), testing.prefect_test_harness():
        dont.test_total(cassette)
        sent = cassette.read_text().count("Bearer not-a-key")
        assert sent == len(calls(cassette)) - 1 > 5

        cassette.unlink()
        do.test_total(cassette)
        assert "not-a-key" not in cassette.read_text()


def test_logs_of_one_test_reach_the_mock_of_the_next(
    dont, cassette, api, capsys
):
    """Logs leave in the background, so those of one test may leave in the next
    one, even if that runs no flow. VCR then records them. If a mock refuses
    them, Prefect prints `--- Error logging to API ---`, and they are lost.
    """
    with temporary_settings({PREFECT_LOGGING_TO_API_BATCH_INTERVAL: 60}):
        dont.sum_prices()
        with vcr.use_cassette(cassette):
            APILogWorker.drain_all()
        assert "/api/logs/" in calls(cassette)

        lost = dont.sum_prices(return_state=True)
        with respx.mock:
            APILogWorker.drain_all()
        said = capsys.readouterr().err
        assert "--- Error logging to API ---" in said
        assert "not mocked!" in said

        later = dont.sum_prices(return_state=True)
        APILogWorker.drain_all()
    settles(lambda: log_messages(api, later) != [], True)
    assert log_messages(api, lost) == []


def test_each_tool_has_a_line_that_lets_prefect_through(
    dont, cassette, tmp_path, table
):
    """Other tools refuse Prefect's calls at once. In the first flow test of a
    process the error is `RuntimeError: Failed to reach API at`, and the tool's
    own stands above it in the traceback. respx with `assert_all_mocked=False`
    answers `200` with an empty body, and the flow fails as well.

    pytest-httpx even fails that next test: `The following requests were not
    expected`.

    If the API is on your machine, as in the harness, one line is enough in each
    tool.
    """
    (tmp_path / "test_tools.py").write_text(SUITE)
    run = python(
        *("-m", "pytest", "-p", "no:randomly", "-rfE", "--show-capture=no"),
        cwd=tmp_path,
        COLUMNS="400",
        PREFECT_LOGGING_TO_API_BATCH_INTERVAL="60",
    )
    ended = dict(re.findall(r"^\w+ \S+::test_(\w+) - (.*)", run.stdout, re.M))
    assert "3 passed" in run.stdout, run.stdout + run.stderr
    for first in "respx_first", "respx_all":
        assert "RuntimeError: Failed to reach API at" in ended.pop(first)
    above = "not mocked!.+RuntimeError: Failed to reach API at"
    assert re.search(above, run.stdout, re.S)
    logs = ended.pop("nothing")
    assert logs == "AssertionError: The following requests were not expected:"

    refused = "respx.models.AllMockedAssertionError: RESPX: <Request("
    assert ended.pop("respx").startswith(refused)
    unknown = "httpx.TimeoutException: No response can be found for GET request"
    assert ended.pop("pytest_httpx").startswith(unknown)
    assert ended == {}

    recorder = eval(THROUGH["VCR.py"])
    with recorder.use_cassette(cassette) as once:
        dont.sum_prices()
    assert calls(cassette) == ["/prices"]
    with recorder.use_cassette(cassette) as again:
        dont.sum_prices()
    assert (once.play_count, again.play_count) == (0, 1)

    head = ["Tool", "What lets Prefect through"]
    table("tools.md", head, [[NAMES[t], f"`{THROUGH[t]}`"] for t in NAMES])


def test_only_the_call_of_the_vendor_is_recorded(do, cassette, api):
    """The function leaves out what goes to Prefect's API, so VCR records only
    the vendor's call, and Prefect is real in each run: the API has a new flow
    run with its task run.
    """
    states = []
    for played in 0, 1:
        with do.recorder.use_cassette(cassette) as tape:
            states.append(do.sum_prices(return_state=True))
        assert tape.play_count == played
        assert calls(cassette) == ["/prices"]
    assert len({state.state_details.flow_run_id for state in states}) == 2
    for state in states:
        done = [("fetch_prices", "Completed", 1)]
        settles(lambda state=state: task_runs(api, state), done)
    do.test_total(cassette)


def test_the_function_asks_for_the_address_in_each_call(do):
    """It reads the setting for each call, so it also knows the address of a
    harness that starts later, and an API on any host.
    """
    for url in "http://127.0.0.1:8123/api", "https://prefect.example/api":
        with temporary_settings({PREFECT_API_URL: url}):
            own = Request("POST", f"{url}/flow_runs/", None, {})
            assert do.not_prefects(own) is None
            vendors = Request("GET", PRICES, None, {})
            assert do.not_prefects(vendors) is vendors


def test_a_flow_that_is_left_behind_keeps_pytest_from_ending(
    monkeypatch, testing
):
    """The harness stops its server when the last test has ended, and a flow
    that still runs then asks for it again and again, for about a minute.
    """
    begun, ended, waits = Event(), Event(), []

    def refuse(transport, request):
        raise httpx.ConnectError("Connection refused")

    def stop():
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", refuse)
        sleep = Mock(wraps=time, sleep=waits.append)
        monkeypatch.setattr("prefect.client.base.time", sleep)

    @flow
    def load():
        begun.set()
        ended.wait()

    testing.SubprocessASGIServer.return_value.stop.side_effect = stop
    with ThreadPoolExecutor() as pool:
        with testing.prefect_test_harness():
            left = pool.submit(load)
            assert begun.wait(patient(30))
        ended.set()
    with pytest.raises(httpx.ConnectError):
        left.result()
    assert 45 < sum(waits) < 80
