import logging
from importlib import import_module

import httpx
import pytest
from prefect import flow
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_KEY, temporary_settings

from tests.observe import log_messages, settles

TOKEN = "not-a-real-token"


@pytest.fixture
def redact(dont):
    return import_module("redact")


def ended(api, state):
    APILogHandler().flush()
    return "Flow run encountered an exception" in str(log_messages(api, state))


def stored_logs(api, state):
    settles(lambda: ended(api, state), True)
    return log_messages(api, state)


def leaks(api, state):
    return [text for text in stored_logs(api, state) if TOKEN in text]


def stored_state(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).state.message


def test_a_print_and_an_exception_leak_the_token_into_logs_and_state(dont, api):
    """A print or an exception that contains a secret puts it into the logs, an
    exception also into the state of the run.

    One of the five messages is the author's own `print`. The other four come
    from the exception, because the text of an `HTTPStatusError` contains the
    address. Prefect logs an exception with its traceback, and the end of a run
    with the message of its state, once for the task and once for the flow. The
    text of the exception is also the message of the state.
    """
    state = dont.load_rates(return_state=True)

    found = leaks(api, state)
    parts = ("Asking", "Traceback", "Finished in state Failed")
    times = [sum(part in text for text in found) for part in parts]
    assert times == [1, 2, 2]
    assert len(found) == 5
    assert (
        "Flow run encountered an exception: HTTPStatusError: Client error"
        " '401 Unauthorized' for url"
        " 'https://rates.example.org/latest?token=not-a-real-token'"
    ) in stored_state(api, state)


def test_prefect_redacts_its_api_key_but_not_in_tracebacks_and_states(api):
    """Prefect hides only its own API key in the logs. Even this key is
    replaced by asterisks only in the text of a log message; the traceback
    below it and the message of the state still contain it.
    """

    @flow(log_prints=True)
    def login():
        print(f"The key is {TOKEN}, the token is other-token")
        raise ValueError(f"{TOKEN} is refused")

    with temporary_settings({PREFECT_API_KEY: TOKEN}):
        state = login(return_state=True)

    messages = stored_logs(api, state)
    assert "The key is ********, the token is other-token" in messages
    (traceback,) = [text for text in messages if "Traceback" in text]
    assert "******** is refused" in traceback
    assert "\nValueError: not-a-real-token is refused" in traceback
    assert "not-a-real-token is refused" in stored_state(api, state)


def test_a_token_in_a_header_is_in_no_message(do, api):
    """A header is not part of the address, so it is not in the text of the
    exception. The exception object still carries it: see Keep secrets out of
    results.
    """
    stored_logs(api, do.load_rates(return_state=True))
    state = do.load_rates(return_state=True)

    assert leaks(api, state) == []
    assert sorted(do.stored_logs(state)) == sorted(stored_logs(api, state))
    assert "Asking https://rates.example.org/latest" in stored_logs(api, state)
    assert "401 Unauthorized" in stored_state(api, state)
    assert TOKEN not in stored_state(api, state)
    error = state.result(raise_on_failure=False)
    assert error.request.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("cause", ["None", "error", "not given"])
def test_only_from_none_leaves_the_old_exception_behind(dont, api, cause):
    """If the service wants the token in the address, catch the exception in
    the task and raise your own with `from None`. With `from error`, or without
    `from`, the traceback still contains the text of the old one.
    """

    @flow
    def load_rates():
        try:
            dont.fetch_rates.fn()
        except httpx.HTTPStatusError as error:
            own = PermissionError("401: rates.example.org")
            if cause == "not given":
                raise own  # noqa: B904
            raise own from (error if cause == "error" else None)

    state = load_rates(return_state=True)

    assert len(leaks(api, state)) == (0 if cause == "None" else 1)
    assert TOKEN not in stored_state(api, state)


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_httpx_logs_each_address(caplog, level):
    """Do not log at level `INFO` what `httpx` logs, because it logs the
    address of each request at that level.
    """
    caplog.set_level(level, "httpx")
    answer = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=answer) as client:
        client.get(f"https://rates.example.org/latest?token={TOKEN}")

    assert (TOKEN in caplog.text) is (level == logging.INFO)


def test_the_filter_cleans_the_logs_and_not_the_state(
    dont, redact, api, monkeypatch
):
    """The message of a state does not go through `logging`, so no filter can
    change it.
    """
    for name in ["root", "prefect.flow_runs", "prefect.task_runs"]:
        for handler in logging.getLogger(name).handlers:
            monkeypatch.setattr(handler, "filters", [])
    redact.install(TOKEN)
    state = dont.load_rates(return_state=True)

    assert leaks(api, state) == []
    assert "token=[redacted]" in str(stored_logs(api, state))
    assert TOKEN in stored_state(api, state)


def test_an_encoded_secret_passes_the_filter(redact):
    """The filter finds only the exact text, so an encoded form passes: in an
    address, `p@ss` is written `p%40ss`.
    """
    address = str(httpx.URL("https://db.example.org", password="p@ss"))
    for text, clean in [("p@ss", "[redacted]"), (address, address)]:
        record = logging.makeLogRecord({"msg": "%s", "args": (text,)})
        assert redact.Redact("p@ss").filter(record)
        assert record.getMessage() == clean
    assert "p%40ss" in address
