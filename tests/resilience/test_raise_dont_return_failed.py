from importlib import import_module

import pytest
from prefect import flow, task
from prefect.exceptions import FailedRun, UnfinishedRun
from prefect.states import Failed


def stored(api, state):
    run = api.read_flow_run(state.state_details.flow_run_id)
    return run.state_name, run.run_count


def test_a_returned_failure_leaves_the_run_waiting_after_one_attempt(
    dont, api, caplog
):
    state = dont.load_prices(return_state=True)

    assert dont.attempts == ["load prices"]
    assert stored(api, state) == ("AwaitingRetry", 1)
    assert (
        "Finished in state AwaitingRetry('no prices yet', type=SCHEDULED)"
        in caplog.messages
    )
    with pytest.raises(UnfinishedRun) as error:
        state.result()
    assert error.exconly() == (
        "prefect.exceptions.UnfinishedRun: Run is in SCHEDULED state,"
        " its result is not available."
    )


def test_a_raised_error_is_retried(do, api):
    state = do.load_prices(return_state=True)

    assert state.result() == 7.5
    assert do.attempts == ["load prices", "load prices"]
    assert stored(api, state) == ("Completed", 2)


def test_a_stored_failure_becomes_a_success(dont, capsys):
    import_module("cached_failure").daily_report("2026-03-01")

    assert capsys.readouterr().out == (
        "Before the orders came: Failed\nAfter they came: Cached, result None\n"
    )


def test_without_retries_and_stored_results_a_returned_failure_is_kept(api):
    @flow
    def load_prices():
        return Failed(message="no prices yet")

    assert stored(api, load_prices(return_state=True)) == ("Failed", 1)
    with pytest.raises(FailedRun, match="no prices yet"):
        load_prices()


def test_a_task_retries_a_returned_failure():
    answers = iter([Failed(message="no prices yet"), 7.5])

    @task(retries=1)
    def fetch_price():
        return next(answers)

    @flow
    def load_prices():
        return fetch_price()

    assert load_prices() == 7.5
