from timeit import repeat, timeit

import pytest
from prefect import flow, task
from prefect.exceptions import MissingContextError, PrefectHTTPStatusError
from prefect.logging import disable_run_logger, get_run_logger
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

# Both programs test the code in price_report.py.
LAYERS = {
    "Function": ("mean()", "a wrong result"),
    "Task": (
        "load_prices.fn()",
        "a wrong request, a wrong reading of the answer",
    ),
    "Flow": (
        "price_report()",
        "what Prefect converts, refuses, repeats or caches; the final state",
    ),
    "Deployment": (
        "run_deployment()",
        "parameters that the deployment lacks or names wrongly",
    ),
}


def test_green_tests_of_fn_hide_a_flow_run_that_fails(dont):
    """A flow run reads the annotation `day: date` and turns the text into a
    date before it calls your function, but the keys of `PRICES` are texts. With
    `.fn` the text stays a text.
    """
    for test in (dont.test_function, dont.test_task, dont.test_flow):
        test()

    state = dont.price_report("2026-03-01", return_state=True)
    assert state.is_failed()
    assert "KeyError: datetime.date(2026, 3, 1)" in state.message


def test_fn_is_the_function_without_prefect():
    """`.fn` is the function that you decorated. If you call it, Prefect
    converts no parameters, retries nothing, caches nothing and has no state.
    """
    seen = []

    def load(day: int) -> None:
        seen.append(day)
        raise ConnectionError

    decorated = task(load, retries=3, persist_result=True)
    assert decorated.fn is flow(load).fn is load
    for _ in range(2):
        with pytest.raises(ConnectionError):
            decorated.fn("1")
    assert seen == ["1", "1"]


def test_each_layer_finds_its_own_fault(do, api, table):
    """A test sees only the layer that it calls, so every test can pass while
    the flow run fails and its deployment cannot start a run.

    `apply()` stores that without an error. The server refuses the first request
    for a run.

    Both faults are found, and the name of the test says in which layer.
    """
    do.test_function()
    do.test_task()
    with pytest.raises(KeyError, match="2026, 3, 1"):
        do.test_flow()
    stored = do.price_report.to_deployment(**do.NIGHTLY).apply()
    assert api.read_deployment(stored).parameters == {"date": "2026-03-01"}
    with pytest.raises(PrefectHTTPStatusError) as error:
        do.test_deployment()
    reason = "Error creating flow run: Validation failed. Failure reason:"
    assert f"{reason} 'day' is a required property" in str(error.value)

    def outcome(test):
        try:
            test()
        except Exception as error:
            return f"`{type(error).__name__}`"
        return "passes"

    rows = [
        [layer, f"`{call}`", outcome(getattr(do, f"test_{layer.lower()}")), see]
        for layer, (call, see) in LAYERS.items()
    ]
    head = [
        "Layer",
        "The test calls",
        "In the example",
        "Advice: look there for",
    ]
    table("layers.md", head, rows)


def test_all_layers_pass_once_both_faults_are_fixed(do, monkeypatch):
    """Fix both, and all four tests pass.

    `test_deployment` asks for a run and does not start it.
    """
    body = do.price_report.fn
    monkeypatch.setitem(body.__annotations__, "day", str)
    monkeypatch.setattr(do, "price_report", flow(body))
    monkeypatch.setitem(do.NIGHTLY, "parameters", {"day": "2026-03-01"})
    asked, run_deployment = [], do.run_deployment

    def ask(deployment, timeout):
        asked.append((run_deployment(deployment, timeout=0), timeout))
        return asked[0][0]

    monkeypatch.setattr(do, "run_deployment", ask)
    for test in (do.test_function, do.test_task, do.test_flow):
        test()
    do.test_deployment()
    [(run, timeout)] = asked
    assert timeout == 0 and run.state.name == "Scheduled"


def test_a_task_that_logs_raises_in_fn_unless_the_run_logger_is_disabled(
    do, caplog
):
    """`get_run_logger` needs a run. In `load_prices.fn()` there is none, so it
    raises `MissingContextError`. With `disable_run_logger` it returns a logger
    that is silent.
    """
    with pytest.raises(MissingContextError) as error:
        do.load_prices.fn("2026-03-01")
    assert str(error.value) == "There is no active flow or task run context."
    do.test_task()
    with disable_run_logger():
        get_run_logger().critical("The price service is down")
    assert "Loading" not in caplog.text and "down" not in caplog.text


def test_the_fn_of_a_task_needs_no_server_but_the_fn_of_a_flow_does(do):
    """Write most of your tests for the two upper layers, because they need no
    server.

    The tasks that it calls still run through Prefect, and without a server
    it fails with `Failed to reach API`.
    """
    nowhere = {
        PREFECT_API_URL: "http://127.0.0.1:9/api",
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(nowhere):
        do.test_function()
        do.test_task()
        with pytest.raises(RuntimeError, match="Failed to reach API"):
            do.price_report.fn("2026-03-01")


def test_a_hundred_calls_of_fn_take_less_time_than_one_flow_run(do):
    """A hundred calls of `.fn()` take less time than one flow run."""
    # The fastest of three: a busy machine adds time, and never takes any away.
    hundred_calls = min(repeat(do.test_task, number=100, repeat=3))
    one_flow_run = timeit(
        lambda: do.price_report("2026-03-01", return_state=True), number=1
    )
    assert hundred_calls < one_flow_run
