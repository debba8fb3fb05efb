import re
from functools import partial
from time import monotonic

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
    # The clock of the service: a busy machine is slower than a client.
    monkeypatch.setattr(service, "monotonic", lambda: monotonic() / PATIENCE)
    assert ends_as(dont.load_rates, KNOWN) == "Failed"

    assert service.requests == {f"/{KNOWN}": 4}
    assert "Retry 1/3 will start immediately" in caplog.text
    assert "Retries are exhausted" in caplog.text


def test_retries_after_a_pause_get_the_answer(do, service):
    assert ends_as(do.load_rates, KNOWN) == "Completed"

    assert service.requests == {f"/{KNOWN}": 2}


def test_only_with_a_condition_a_404_is_not_asked_again(dont, do, service):
    assert ends_as(do.load_rates, UNKNOWN) == "Failed"
    assert service.requests == {f"/{UNKNOWN}": 1}

    assert ends_as(dont.load_rates, UNKNOWN) == "Failed"
    assert service.requests == {f"/{UNKNOWN}": 5}


@pytest.mark.parametrize("jitter", [None, 0.3])
def test_the_backoff_doubles_and_jitter_spreads_it_by_its_factor(
    jitter, caplog
):
    assert exponential_backoff(2)(5) == [2, 4, 8, 16, 32]

    @task(retries=9, retry_delay_seconds=0.01, retry_jitter_factor=jitter)
    def fail():
        raise ConnectionError

    flow(lambda: fail(), name="fail")(return_state=True)
    found = re.findall(r"will start (\S+) second", caplog.text)
    delays = [float(seconds) for seconds in found]

    assert len(set(delays)) == (9 if jitter else 1)
    assert all(0.0075 < delay <= 0.013 for delay in delays)


class Always:
    def __call__(self, task, task_run, state):
        return True


def always(task, task_run, state):
    return True


def broken(task, task_run, state):
    raise KeyError("status")


@pytest.mark.parametrize(
    ("condition", "requests"),
    [(always, 4), (partial(always), 1), (Always(), 1), (broken, 1)],
)
def test_a_condition_that_is_no_function_or_fails_stops_all_retries(
    dont, service, monkeypatch, condition, requests, caplog
):
    fetch_rates = dont.fetch_rates.with_options(retry_condition_fn=condition)
    monkeypatch.setattr(dont, "fetch_rates", fetch_rates)
    ends_as(dont.load_rates, UNKNOWN)

    assert service.requests[f"/{UNKNOWN}"] == requests
    logged = "An error was encountered while running `retry_condition_fn`"
    assert (logged in caplog.text) == (condition is broken)
