from datetime import date
from importlib import import_module

import pytest
from prefect import flow
from prefect.deployments import run_deployment
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.runner import Runner

from tests.observe import settles, task_runs

FORM = {"first_day": "2026-13-01", "days": "ten"}


def test_an_untyped_flow_deletes_before_it_fails(dont, api):
    state = dont.reload_prices(**FORM, return_state=True)

    assert "TypeError: 'str' object cannot be interpreted" in state.message
    assert dont.warehouse == {}
    settles(
        lambda: task_runs(api, state),
        [("delete_prices", "Completed", 1), ("load_prices", "Failed", 1)],
    )


def test_a_typed_flow_is_refused_before_its_first_task(do, api, monkeypatch):
    monkeypatch.setattr(do, "delete_prices", pytest.fail)
    state = do.reload_prices(**FORM, return_state=True)

    assert len(do.warehouse) == 2
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert (run.state_name, run.parameters) == ("Failed", FORM)
    with pytest.raises(ParameterTypeError):
        state.result()


def test_what_fits_is_converted():
    @flow
    def received(first_day: date, days: int):
        return first_day, days

    assert received("2026-03-01", "2") == (date(2026, 3, 1), 2)
    unchecked = received.with_options(validate_parameters=False)
    assert unchecked("2026-03-01", "2") == ("2026-03-01", "2")


def test_a_model_refuses_what_is_out_of_range_and_what_it_does_not_know(
    do, capsys
):
    model = import_module("model")
    period = {"first_day": "2026-03-01", "days": "2"}
    assert model.reload_prices(period, return_state=True).is_completed()
    assert capsys.readouterr().out == "Loaded 2 days from 2026-03-01 on\n"

    for wrong in ({"days": 200}, {"dyas": 2}):
        with pytest.raises(ParameterTypeError, match=r"period\.(days|dyas): "):
            model.reload_prices(period | wrong)


def ask_for_run(flow, **parameters):
    deployment = Runner().add_flow(flow, name="typed-parameters")
    return run_deployment(deployment, parameters=parameters, timeout=0)


@pytest.mark.parametrize("days", ["ten", "2"])
def test_the_server_refuses_a_run_only_of_a_typed_deployment(dont, do, days):
    assert ask_for_run(dont.reload_prices, first_day="2026-03-01", days=days)

    with pytest.raises(PrefectHTTPStatusError) as error:
        ask_for_run(do.reload_prices, first_day="2026-03-01", days=days)
    assert (
        "Error creating flow run: Validation failed for field 'days'."
        f" Failure reason: '{days}' is not of type 'integer'"
    ) in str(error.value)


def test_the_server_does_not_check_a_date(do):
    assert ask_for_run(do.reload_prices, first_day="2026-13-01", days=2)
