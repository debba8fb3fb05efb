import re
from functools import partial
from time import monotonic

import httpx
import pytest
from prefect import flow, task
from prefect.tasks import exponential_backoff

from tests.backend import PATIENCE

# The service is rate_service.py, a real HTTP server on this machine.
KNOWN, UNKNOWN = "2026-03-01", "2026-02-30"


@pytest.fixture(autouse=True)
def service(do):
    do.rate_service.requests.clear()
    do.rate_service.last_request.clear()
    return do.rate_service


def ends_as(flow, day):
    return flow(day, return_state=True).name


def test_retries_at_once_keep_the_service_busy(
    dont, service, caplog, monkeypatch
):
    """Retries without a pause use themselves up while the service is still
    busy, and retries of a hopeless request only add load.

    `retries=3` says how often to try again, not when. The default is at once.
    The service needs a quiet second before it answers, so each retry only makes
    it refuse the next one.
    """
    # The clock of the service: a busy machine is slower than a client.
    monkeypatch.setattr(service, "monotonic", lambda: monotonic() / PATIENCE)
    assert ends_as(dont.load_rates, KNOWN) == "Failed"

    assert service.requests == {f"/{KNOWN}": 4}
    assert "Retry 1/3 will start immediately" in caplog.text
    assert "Retries are exhausted" in caplog.text

    service.last_request.clear()
    monkeypatch.setattr(service, "monotonic", iter([0, 1, 1.9]).__next__)
    url = f"{service.url}/{KNOWN}"
    assert [httpx.get(url).status_code for _ in range(3)] == [503, 200, 503]


def test_retries_after_a_pause_get_the_answer(do, service):
    """`exponential_backoff(2)` gives pauses of 2, 4, 8, 16, 32 seconds, one for
    each retry that you allow.
    """
    assert exponential_backoff(2)(5) == [2, 4, 8, 16, 32]
    assert do.fetch_rates.retries == 3
    assert do.fetch_rates.retry_delay_seconds == [2, 4, 8]
    assert do.fetch_rates.retry_jitter_factor == 0.3

    assert ends_as(do.load_rates, KNOWN) == "Completed"
    assert service.requests == {f"/{KNOWN}": 2}


def test_only_with_a_condition_a_404_is_not_asked_again(dont, do, service):
    """Retries without a pause use themselves up while the service is still
    busy, and retries of a hopeless request only add load.

    For the unknown day the service answers 404. It will answer 404 tomorrow
    too, but Prefect asks again all the same.
    """
    assert ends_as(do.load_rates, UNKNOWN) == "Failed"
    assert service.requests == {f"/{UNKNOWN}": 1}

    assert ends_as(dont.load_rates, UNKNOWN) == "Failed"
    assert service.requests == {f"/{UNKNOWN}": 5}
    assert httpx.get(f"{service.url}/{UNKNOWN}").status_code == 404


def answer(status, **headers):
    request = httpx.Request("GET", "http://rates")
    return httpx.Response(status, headers=headers, request=request)


def runs(condition, error):
    done = []

    @task(retries=1, retry_condition_fn=condition)
    def fetch():
        done.append(error)
        if isinstance(error, httpx.Response):
            error.raise_for_status()
        raise error

    flow(lambda: fetch(return_state=True), name="fetch")(return_state=True)
    return len(done)


def test_the_condition_looks_at_the_exception(do, caplog):
    """`retry_condition_fn` gets the task, the task run and the failed state.
    `state.result()` raises the task's exception, so you can look at it as
    usual. Return `True` to retry.
    """
    passing = [*map(answer, (429, 502, 503, 504)), httpx.ReadTimeout("slow")]
    lasting = [*map(answer, (400, 404, 500)), ValueError("not a number")]

    assert [runs(do.is_transient, error) for error in passing] == [2] * 5
    assert [runs(do.is_transient, error) for error in lasting] == [1] * 4
    assert "retry_condition_fn` check" not in caplog.text

    seen = []
    runs(lambda *given: seen.extend(given), ValueError())
    a_task, task_run, state = seen
    assert (a_task.name, state.type) == ("fetch", "FAILED")
    assert task_run.name.startswith("fetch-")


@pytest.mark.parametrize("jitter", [None, 0.3])
def test_jitter_spreads_the_pauses_by_its_factor(jitter, caplog):
    """`retry_jitter_factor=0.3` makes each pause random, between 25% shorter
    and 30% longer. Without it, tasks that failed together come back together.
    """

    @task(retries=20, retry_delay_seconds=0.02, retry_jitter_factor=jitter)
    def fail():
        raise ConnectionError

    flow(lambda: fail(), name="fail")(return_state=True)
    found = re.findall(r"will start (\S+) second", caplog.text)
    delays = [float(seconds) / 0.02 for seconds in found]

    assert len(set(delays)) == (20 if jitter else 1)
    assert all(0.75 <= round(delay, 2) <= 1.3 for delay in delays)


class Always:
    def method(self, task, task_run, state):
        return True

    __call__ = method


def broken(task, task_run, state):
    raise KeyError("status")


def test_a_condition_that_fails_stops_all_retries(caplog):
    """If the condition itself raises, Prefect does not retry, and the log shows
    the error of the condition before that of the task.
    """
    assert runs(broken, ConnectionError("no line")) == 1
    own = caplog.text.index("An error was encountered while running `retry")
    assert own < caplog.text.index("exception ConnectionError: no line")

    always = partial(Always.method, None)
    for condition in (always, Always(), Always().method):
        assert runs(condition, ConnectionError("no line")) == 2


def test_the_time_to_come_back_is_not_read(caplog):
    """Prefect does not read the header."""
    busy = answer(503, **{"Retry-After": "60"})

    assert runs(None, busy) == 2
    assert "Retry 1/1 will start immediately" in caplog.text
