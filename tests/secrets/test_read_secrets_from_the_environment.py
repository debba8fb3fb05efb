import os
from pathlib import Path
from secrets import token_hex

import pytest
from prefect import task
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings

from tests.observe import settles, task_runs
from tests.programs import run_program


def test_a_removed_key_stays_in_the_history(dont, tmp_path):
    """The file no longer contains the key, but the history shows it twice: in
    the commit that removed it and in the commit that added it.

    A key in the code stays in the repository's history, and a variable that is
    read late is found missing only after the work.
    """
    program = Path(dont.__file__).with_name("history.py")
    run = run_program(program, tmp_path)

    assert run.stdout.splitlines() == [
        "The key is in flow.py: False",
        "The key is in the history:",
        '-API_KEY = SecretStr("not-a-real-key")',
        '+API_KEY = SecretStr("not-a-real-key")',
    ]


def test_a_secret_str_hides_its_value_only_when_it_is_printed(dont):
    """A `SecretStr` hides its value when it is printed, but not from someone
    who reads the file.
    """
    assert str(dont.API_KEY) == "**********"
    assert "not-a-real-key" in Path(dont.__file__).read_text()


def test_a_variable_that_is_read_late_is_missed_after_the_work(
    dont, api, monkeypatch
):
    """A key in the code stays in the repository's history, and a variable that
    is read late is found missing only after the work.
    """

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
    """The run without the key fails before any task runs, and the message of
    its state names the variable.

    `env_ignore_empty=True` treats an empty variable as missing.
    """
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


def test_the_key_comes_from_the_environment(do, monkeypatch):
    """The second run gets the key from the variable, as a `SecretStr`."""
    key = token_hex()
    monkeypatch.setenv("PRICES_API_KEY", key)
    with pytest.raises(PermissionError):
        do.publish.fn([], SecretStr(""))
    monkeypatch.setattr(do, "publish", lambda prices, api_key: api_key)

    assert do.Settings().api_key.get_secret_value() == key
    assert do.publish_prices() == "Prices published: **********"


def test_without_the_two_details(monkeypatch):
    """With `env_prefix="PRICES_"` the error names only `api_key`.

    Without it, the empty text is accepted as a key.
    """

    class Settings(BaseSettings, env_prefix="PRICES_"):
        api_key: SecretStr

    monkeypatch.delenv("PRICES_API_KEY", raising=False)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "\napi_key\n" in str(caught.value)
    assert "PRICES" not in str(caught.value)

    monkeypatch.setenv("PRICES_API_KEY", "")
    assert Settings().api_key.get_secret_value() == ""


@pytest.mark.parametrize("shows", [{}, {"hide_input_in_errors": False}])
def test_pydantic_writes_the_keys_it_found_into_the_error_unless_told_not_to(
    do, api, monkeypatch, shows
):
    """`hide_input_in_errors=True` keeps other secrets out of the error.
    Without it, if one of two variables is missing, Pydantic's error contains
    the value of the other one in clear, and Prefect stores that text as the
    message of the run's state.
    """

    class Account(do.Settings, **shows):
        password: SecretStr = Field(validation_alias="PRICES_PASSWORD")

    monkeypatch.setenv("PRICES_API_KEY", "not-a-real-key")
    monkeypatch.setattr(do, "Settings", Account)
    state = do.publish_prices(return_state=True)

    run = api.read_flow_run(state.state_details.flow_run_id)
    assert "PRICES_PASSWORD" in run.state.message
    assert ("not-a-real-key" in run.state.message) is bool(shows)


def test_settings_at_the_top_of_a_file_stop_its_import(
    do, monkeypatch, tmp_path
):
    """Then the file cannot be imported on a machine that lacks the key, such
    as the one that runs its tests.
    """
    flow_file = tmp_path / "prices_flow.py"
    flow_file.write_text("import do\n\nSETTINGS = do.Settings()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PRICES_API_KEY", raising=False)
    with pytest.raises(ValidationError, match="PRICES_API_KEY"):
        import prices_flow  # noqa: F401


def test_a_file_for_each_secret_does_as_well(do, monkeypatch, tmp_path):
    """With `secrets_dir="/run/secrets"` the same class also reads a file
    `PRICES_API_KEY` in that folder, and the variable wins if both are there.
    """

    class Mounted(do.Settings, secrets_dir=tmp_path):
        pass

    (tmp_path / "PRICES_API_KEY").write_text("from-the-file\n")
    monkeypatch.delenv("PRICES_API_KEY", raising=False)
    assert Mounted().api_key.get_secret_value() == "from-the-file"
    monkeypatch.setenv("PRICES_API_KEY", "from-the-environment")
    assert Mounted().api_key.get_secret_value() == "from-the-environment"
