from unittest.mock import patch

import httpx
import pytest
from prefect import flow

from tests.observe import settles, task_runs

# price_service.py is the service that do.py asks.


@pytest.fixture
def statuses(monkeypatch):
    """Let `httpx.get` raise for a bad status, and list all that it gets."""
    seen, get = [], httpx.get

    def get_and_raise(url):
        answer = get(url)
        seen.append(answer.status_code)
        return answer.raise_for_status()

    monkeypatch.setattr(httpx, "get", get_and_raise)
    return seen


def test_a_mock_of_the_task_hides_that_a_busy_service_counts_as_zero(
    dont, do, api
):
    """A mock in the place of a task replaces your code and Prefect's too, so
    the test checks neither.

    A busy service answers `503` with a body that has no prices. The task takes
    that for an empty list and is `Completed`, so its retry never comes.
    """
    dont.test_total()

    with do.price_service((503, {"error": "busy, try again"})) as url:
        state = dont.total_price(url, return_state=True)
    assert state.result() == 0
    settles(lambda: task_runs(api, state), [("fetch_prices", "Completed", 1)])


def test_a_mock_leaves_no_task_run_and_takes_any_arguments(dont, caplog):
    """The flow run has no task run at all, so the test sees none of its
    retries, caches and states. And a mock takes any arguments. A flow that
    forgets `url` passes the test and fails in its first real run.
    """

    @flow
    def total_price(url):
        return sum(dont.fetch_prices())

    with patch("dont.fetch_prices", return_value=[9.5, 10.5]):
        assert total_price("http://prices") == 20.0
    assert "prefect.flow_runs" in caplog.text
    assert "prefect.task_runs" not in caplog.text

    state = total_price("http://prices", return_state=True)
    assert state.is_failed()
    assert (
        "Error binding parameters for function 'fetch_prices':"
        " missing a required argument: 'url'." in state.message
    )


def test_a_service_on_loopback_finds_the_fault(do):
    """The fault is found."""
    with pytest.raises(AssertionError, match="total is 0"):
        do.test_total()


def test_the_busy_service_is_asked_again_once_the_task_is_fixed(
    do, api, statuses
):
    """With `httpx.get(...).raise_for_status()` in the task the test passes: the
    first attempt fails, and the second gets the prices.
    """
    assert do.fetch_prices.retries == 1
    do.test_total()
    assert statuses == [503, 200]

    with do.price_service((503, {}), (200, {"prices": [4.0]})) as url:
        state = do.total_price(url, return_state=True)
    assert state.result() == 4.0
    settles(lambda: task_runs(api, state), [("fetch_prices", "Completed", 2)])


def test_the_service_takes_a_free_port_and_gives_the_named_answers(do):
    """This one listens on a free port of your machine, and gives the answers
    that the test names, one for each request.
    """
    with (
        do.price_service((200, {"prices": []}), (500, {})) as one,
        do.price_service((404, {})) as other,
    ):
        assert httpx.get(one).json() == {"prices": []}
        assert httpx.get(one).status_code == 500
        assert httpx.get(other).status_code == 404
        assert httpx.URL(one).host == "127.0.0.1"


def test_prefect_calls_its_server_through_httpx(do, monkeypatch):
    """Be careful with libraries that replace httpx in the whole process:
    Prefect calls its own server through httpx, so they catch these calls too.
    """
    paths, handle = [], httpx.HTTPTransport.handle_request

    def record(transport, request):
        paths.append(request.url.path)
        return handle(transport, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", record)
    with do.price_service((200, {"prices": [4.0]})) as url:
        do.total_price(url)
    assert {"/prices", "/api/flow_runs/"} <= {*paths}
