import os
from pathlib import Path

import pytest
from prefect import task
from pydantic import Field, SecretStr

from tests.observe import settles, task_runs
from tests.programs import run_program


def test_a_removed_key_stays_in_the_history(dont, tmp_path):
    program = Path(dont.__file__).with_name("history.py")
    run = run_program(program, tmp_path)

    assert "The key is in flow.py: False" in run.stdout
    assert '-API_KEY = SecretStr("not-a-real-key")' in run.stdout


def test_a_variable_that_is_read_late_is_missed_after_the_work(
    dont, api, monkeypatch
):
    @task
    def publish(prices, api_key):
        return os.environ["PRICES_API_KEY"]

    monkeypatch.delenv("PRICES_API_KEY", raising=False)
    monkeypatch.setattr(dont, "publish", publish)
    state = dont.publish_prices(return_state=True)

    assert state.message == (
        "Flow run encountered an exception: KeyError: 'PRICES_API_KEY'"
    )
    settles(
        lambda: task_runs(api, state),
        [("publish", "Failed", 1), ("read_prices", "Completed", 1)],
    )


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_variable_is_named_before_any_work(
    do, monkeypatch, value
):
    work = []
    monkeypatch.setattr(do, "read_prices", lambda: work.append("done"))
    monkeypatch.delenv("PRICES_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("PRICES_API_KEY", value)
    state = do.publish_prices(return_state=True)

    assert state.message.startswith(
        "Flow run encountered an exception: ValidationError:"
        " 1 validation error for Settings\n"
        "PRICES_API_KEY\n"
        "  Field required [type=missing]\n"
    )
    assert work == []


@pytest.mark.parametrize("hidden", [True, False])
def test_pydantic_writes_the_keys_it_found_into_the_error_unless_told_not_to(
    do, api, monkeypatch, hidden
):
    class Account(do.Settings, hide_input_in_errors=hidden):
        password: SecretStr = Field(validation_alias="PRICES_PASSWORD")

    monkeypatch.setenv("PRICES_API_KEY", "not-a-real-key")
    monkeypatch.setattr(do, "Settings", Account)
    state = do.publish_prices(return_state=True)

    run = api.read_flow_run(state.state_details.flow_run_id)
    assert "PRICES_PASSWORD" in run.state.message
    assert ("not-a-real-key" in run.state.message) is not hidden
