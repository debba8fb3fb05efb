from datetime import date
from importlib import import_module
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import DeploymentFilter
from prefect.deployments import run_deployment
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.runner import Runner

from tests.observe import settles, task_runs

FORM = {"first_day": "2026-13-01", "days": "ten"}


def test_an_untyped_flow_deletes_before_it_fails(dont, api):
    """Prefect checks the parameters of a flow by its type annotations; without
    them a wrong value fails in the middle of the work.

    The flow takes whatever comes, and passes it on. `delete_prices` runs first
    and needs neither value, so the old prices are gone when `range("ten")`
    raises. The month 13 is not even noticed.
    """
    state = dont.reload_prices(**FORM, return_state=True)

    assert "TypeError: 'str' object cannot be interpreted" in state.message
    assert dont.warehouse == {}
    settles(
        lambda: task_runs(api, state),
        [("delete_prices", "Completed", 1), ("load_prices", "Failed", 1)],
    )


def test_the_annotations_of_a_task_check_nothing():
    """The annotations of `load_prices` do not help. Prefect checks the
    parameters of a `flow`, and passes the arguments of a task as they are.
    """

    @task
    def load_prices(first_day: date, days: int):
        return first_day, days

    @flow
    def reload_prices():
        return load_prices("2026-13-01", "ten")

    assert reload_prices() == ("2026-13-01", "ten")


def test_a_typed_flow_is_refused_before_its_first_task(do, api, monkeypatch):
    """The flow run is `Failed` and its function was never called. The message
    names both mistakes.
    """
    before = {"2026-02-27": 8.0, "2026-02-28": 12.5}
    monkeypatch.setattr(do, "delete_prices", pytest.fail)
    state = do.reload_prices(**FORM, return_state=True)

    assert do.warehouse == before
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert (run.state_name, run.parameters) == ("Failed", FORM)
    assert "first_day: Input should be a valid date" in run.state.message
    assert "days: Input should be a valid integer" in run.state.message
    with pytest.raises(ParameterTypeError):
        state.result()


def test_what_fits_is_converted(do):
    """A value that fits is converted: the text `"2026-03-01"` arrives as a
    `date`, and `"2"` as the number 2.

    There `@flow(validate_parameters=False)` turns it off. It turns off the
    conversion too: `"2026-03-01"` stays a text.
    """
    do.reload_prices("2026-03-01", "2")
    assert do.warehouse == {"2026-03-01": 9.0, "2026-03-02": 9.0}

    @flow
    def received(first_day: date, days: int):
        return first_day, days

    assert received("2026-03-01", "2") == (date(2026, 3, 1), 2)
    unchecked = received.with_options(validate_parameters=False)
    assert unchecked("2026-03-01", "ten") == ("2026-03-01", "ten")


def test_any_checks_nothing():
    """`Any` is an annotation that checks nothing."""

    @flow
    def received(first_day: Any):
        return first_day

    assert received("2026-13-01") == "2026-13-01"


def test_a_model_refuses_what_is_out_of_range_and_what_it_does_not_know(
    do, capsys
):
    """It checks ranges, and with `extra="forbid"` also refuses a misspelled
    name, which it would otherwise ignore.
    """
    model = import_module("model")

    def reload(**period):
        period = {"first_day": "2026-03-01", **period}
        state = model.reload_prices(period, return_state=True)
        return state.name, capsys.readouterr().out

    def loaded(days):
        return "Completed", f"Loaded {days} days from 2026-03-01 on\n"

    assert reload() == loaded(1)
    assert reload(days=1) == loaded(1)
    assert reload(days="2") == loaded(2)
    assert reload(days=31) == loaded(31)
    for wrong in ({"days": 0}, {"days": 32}, {"dyas": 2}):
        assert reload(**wrong) == ("Failed", "")

    class Loose(model.Period, extra="ignore"):
        pass

    @flow
    def received(period: Loose):
        return period.days

    assert received({"first_day": "2026-03-01", "dyas": 2}) == 1


@pytest.fixture
def ask_for_run(api):
    """Ask for a run of a flow's deployment, and see how many there are."""
    made = []

    def ask_for_run(flow, days, first_day="2026-03-01", **update):
        deployment = Runner().add_flow(flow, name="typed-parameters")
        made.append(deployment)
        if update:
            api.update_deployment(deployment, DeploymentUpdate(**update))
        parameters = {"first_day": first_day, "days": days}
        return run_deployment(deployment, parameters=parameters, timeout=0)

    def runs():
        of_it = DeploymentFilter(id={"any_": made})
        return len(api.read_flow_runs(deployment_filter=of_it))

    ask_for_run.runs = runs
    yield ask_for_run
    for deployment in {*made}:
        api.delete_deployment(deployment)


@pytest.mark.parametrize("days", ["ten", "2"])
def test_the_server_refuses_a_run_only_of_a_typed_deployment(
    dont, do, days, ask_for_run
):
    """A deployment carries the annotations to the server as a JSON schema, and
    the server checks the parameters when somebody asks for a run. It refuses
    `"ten"` with the second message above, and creates no flow run. The two
    checks differ. The server refuses `"2"` for an `int`, which the flow would
    convert.
    """
    with pytest.raises(PrefectHTTPStatusError) as error:
        ask_for_run(do.reload_prices, days)
    assert (
        "Error creating flow run: Validation failed for field 'days'."
        f" Failure reason: '{days}' is not of type 'integer'"
    ) in str(error.value)
    assert ask_for_run.runs() == 0

    ask_for_run(dont.reload_prices, days)
    assert ask_for_run.runs() == 1


def test_the_server_does_not_check_a_date(do, ask_for_run):
    """And it accepts any text for a `date`, so such a run is created, starts,
    and is refused by the flow.
    """
    run = ask_for_run(do.reload_prices, days=2, first_day="soon")
    assert ask_for_run.runs() == 1
    state = run_flow(do.reload_prices, run, return_type="state")
    assert state.is_failed()
    assert "first_day: Input should be a valid date" in state.message


def test_a_deployment_can_turn_the_check_of_the_server_off(do, ask_for_run):
    """The server checks nothing if the deployment has
    `enforce_parameter_schema=False`. The default is true.
    """
    with pytest.raises(PrefectHTTPStatusError, match="Validation failed"):
        ask_for_run(do.reload_prices, "ten")
    ask_for_run(do.reload_prices, "ten", enforce_parameter_schema=False)
    assert ask_for_run.runs() == 1
