from timeit import repeat, timeit

import pytest
from prefect import flow
from prefect.exceptions import MissingContextError, PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

# Both programs test the code in price_report.py.


def test_green_tests_of_fn_hide_a_flow_run_that_fails(dont):
    for test in (dont.test_function, dont.test_task, dont.test_flow):
        test()

    state = dont.price_report("2026-03-01", return_state=True)
    assert state.is_failed()
    assert "KeyError: datetime.date(2026, 3, 1)" in state.message


def test_each_layer_finds_its_own_fault(do):
    do.test_function()
    do.test_task()
    with pytest.raises(KeyError, match="2026, 3, 1"):
        do.test_flow()
    assert do.price_report.to_deployment(**do.NIGHTLY).apply()  # no error here
    with pytest.raises(PrefectHTTPStatusError) as error:
        do.test_deployment()
    reason = "Error creating flow run: Validation failed. Failure reason:"
    assert f"{reason} 'day' is a required property" in str(error.value)


def test_all_layers_pass_once_both_faults_are_mended(do, monkeypatch):
    body = do.price_report.fn
    monkeypatch.setitem(body.__annotations__, "day", str)
    monkeypatch.setattr(do, "price_report", flow(body))
    monkeypatch.setitem(do.NIGHTLY, "parameters", {"day": "2026-03-01"})

    for test in (do.test_function, do.test_task, do.test_flow):
        test()
    do.test_deployment()


def test_a_task_that_logs_raises_in_fn_unless_the_run_logger_is_disabled(do):
    with pytest.raises(MissingContextError) as error:
        do.load_prices.fn("2026-03-01")
    assert str(error.value) == "There is no active flow or task run context."
    do.test_task()


def test_the_fn_of_a_task_needs_no_server_but_the_fn_of_a_flow_does(do):
    nowhere = {
        PREFECT_API_URL: "http://127.0.0.1:9/api",
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(nowhere):
        do.test_task()
        with pytest.raises(RuntimeError, match="Failed to reach API"):
            do.price_report.fn("2026-03-01")


def test_a_hundred_calls_of_fn_take_less_time_than_one_flow_run(do):
    # The fastest of three: a busy machine adds time, and never takes any away.
    hundred_calls = min(repeat(do.test_task, number=100, repeat=3))
    one_flow_run = timeit(
        lambda: do.price_report("2026-03-01", return_state=True), number=1
    )
    assert hundred_calls < one_flow_run
