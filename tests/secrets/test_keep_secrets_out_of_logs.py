import logging
from importlib import import_module

import httpx
import pytest
from prefect import flow
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_KEY, temporary_settings

from tests.observe import log_messages, settles

TOKEN = "not-a-real-token"


def leaks(api, state):
    return sum(TOKEN in message for message in log_messages(api, state))


def ended(api, state):
    APILogHandler().flush()
    return "Flow run encountered an exception" in str(log_messages(api, state))


def stored_state(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).state.message


def test_a_print_and_an_exception_leak_the_token_into_logs_and_state(dont, api):
    state = dont.load_rates(return_state=True)

    settles(lambda: ended(api, state), True)
    assert leaks(api, state) == 5
    assert (
        "Flow run encountered an exception: HTTPStatusError: Client error"
        " '401 Unauthorized' for url"
        " 'https://rates.example.org/latest?token=not-a-real-token'"
    ) in stored_state(api, state)


def test_a_token_in_a_header_is_in_no_message(do, api):
    state = do.load_rates(return_state=True)

    settles(lambda: ended(api, state), True)
    assert leaks(api, state) == 0
    assert "401 Unauthorized" in stored_state(api, state)
    assert TOKEN not in stored_state(api, state)


def test_the_net_cleans_the_logs_and_not_the_state(dont, api, monkeypatch):
    for name in ["root", "prefect.flow_runs", "prefect.task_runs"]:
        for handler in logging.getLogger(name).handlers:
            monkeypatch.setattr(handler, "filters", [])
    import_module("net").install(TOKEN)
    state = dont.load_rates(return_state=True)

    settles(lambda: ended(api, state), True)
    assert leaks(api, state) == 0
    assert "token=[redacted]" in str(log_messages(api, state))
    assert TOKEN in stored_state(api, state)


def test_prefect_redacts_its_api_key_but_not_in_tracebacks_and_states(api):
    @flow(log_prints=True)
    def login():
        print(f"The key is {TOKEN}")
        raise ValueError(f"{TOKEN} is refused")

    with temporary_settings({PREFECT_API_KEY: TOKEN}):
        state = login(return_state=True)

    settles(lambda: ended(api, state), True)
    messages = log_messages(api, state)
    assert "The key is ********" in messages
    (traceback,) = [text for text in messages if "Traceback" in text]
    assert "******** is refused" in traceback
    assert "\nValueError: not-a-real-token is refused" in traceback
    assert "not-a-real-token is refused" in stored_state(api, state)


@pytest.mark.parametrize(("chained", "count"), [(False, 0), (True, 1)])
def test_only_from_none_leaves_the_old_exception_behind(
    dont, api, chained, count
):
    @flow
    def load_rates():
        try:
            dont.fetch_rates.fn()
        except httpx.HTTPStatusError as error:
            cause = error if chained else None
            raise PermissionError("401: rates.example.org") from cause

    state = load_rates(return_state=True)

    settles(lambda: ended(api, state), True)
    assert leaks(api, state) == count
    assert TOKEN not in stored_state(api, state)
