from importlib import import_module

import pytest
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import Settings
from pydantic import ValidationError

from tests.book import ROOT
from tests.programs import python

TYPO = "PREFECT_RESULT_PERSIST_BY_DEFAULT"
RIGHT = "PREFECT_RESULTS_PERSIST_BY_DEFAULT"
CHECK = ROOT / "snippets/secrets/catch_setting_typos/setting_names.py"


@pytest.fixture
def check(do):
    return import_module("setting_names")


def prefect_config(folder, *command):
    return python("-m", "prefect", "config", *command, cwd=folder)


@pytest.mark.parametrize(
    ("name", "fetched"), [(TYPO, ["USD", "USD"]), (RIGHT, ["USD"])]
)
def test_a_typo_leaves_the_default_without_a_warning(
    dont, monkeypatch, tmp_path, capfd, recwarn, name, fetched
):
    """Prefect ignores a setting whose name it does not know, so a typo leaves
    you with the default, and without a warning.
    """
    monkeypatch.setenv(name, "true")
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path))
    profile = get_settings_context().profile
    with SettingsContext(profile=profile, settings=Settings()):
        dont.report()

    assert dont.fetched == fetched
    assert name not in capfd.readouterr().err + str(recwarn.list)


def test_only_names_of_settings_are_read_from_each_source(
    monkeypatch, tmp_path
):
    """Prefect looks in the environment for the names of its settings.

    Other names are ignored, even if they begin with `PREFECT_`.

    The same holds for a `.env` file and for `prefect.toml`.

    `prefect config view` lists the settings that are set, each with its value
    and the place where the value comes from.
    """
    dotenv, toml = tmp_path / ".env", tmp_path / "prefect.toml"

    monkeypatch.setenv(TYPO, "true")
    dotenv.write_text(f"{TYPO}=true")
    toml.write_text("[result]\npersist_by_default = true")
    seen = prefect_config(tmp_path, "view")
    assert seen.returncode == 0
    assert "PERSIST_BY_DEFAULT" not in seen.stdout + seen.stderr

    toml.write_text("[results]\npersist_by_default = true")
    seen = prefect_config(tmp_path, "view").stdout.splitlines()
    assert f"{RIGHT}='True' (from prefect.toml)" in seen

    dotenv.write_text(f"{RIGHT}=true")
    seen = prefect_config(tmp_path, "view").stdout.splitlines()
    assert f"{RIGHT}='true' (from .env file)" in seen

    monkeypatch.setenv(RIGHT, "false")
    seen = prefect_config(tmp_path, "view").stdout.splitlines()
    assert f"{RIGHT}='false' (from env)" in seen


def test_values_are_checked_and_names_are_not(monkeypatch):
    """Values are checked: `maybe` for a boolean raises a `ValidationError`.

    Names are not.
    """
    monkeypatch.setenv(TYPO, "maybe")
    assert not Settings().results.persist_by_default

    monkeypatch.setenv(RIGHT, "maybe")
    with pytest.raises(ValidationError, match="valid boolean"):
        Settings()


def test_a_typo_leaves_a_server_without_its_password(check, monkeypatch):
    """`PREFECT_SERVER_AUTH_STRING` looks right, but the password of a server
    is set by `PREFECT_SERVER_API_AUTH_STRING`.

    With the wrong name the server has no password.
    """
    wrong = {"PREFECT_SERVER_AUTH_STRING": "admin:not-a-real-one"}
    monkeypatch.setenv(*wrong.popitem())
    assert Settings().server.api.auth_string is None

    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:secret")
    assert Settings().server.api.auth_string.get_secret_value() == (
        "admin:secret"
    )


def test_the_check_prints_a_warning_and_never_stops_a_start(
    monkeypatch, tmp_path
):
    """It prints a warning and ends with exit code 0."""
    monkeypatch.setenv(TYPO, "true")
    seen = python(CHECK, cwd=tmp_path)
    assert seen.stderr == (f"{TYPO} is not a setting. Did you mean {RIGHT}?\n")
    assert seen.returncode == 0


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("PREFECT_SERVER_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"),
        ("PREFECT_LOGGING_LEVLE", "PREFECT_LOGGING_LEVEL"),
        ("PREFECT_LOGGING_TO_API_ENABLD", "PREFECT_LOGGING_TO_API_ENABLED"),
        ("PREFECT_SERVER_PORT", "PREFECT_SERVER_API_PORT"),
        ("PERFECT_API_URL", "PREFECT_API_URL"),
        ("prefect_api_ulr", "PREFECT_API_URL"),
    ],
)
def test_the_check_names_the_setting_that_was_meant(check, wrong, meant):
    """It finds a typo in any part of the name, `PERFECT_API_URL` too."""
    (warning,) = check.warnings({wrong: "4200"})
    assert warning == f"{wrong} is not a setting. Did you mean {meant}?"


def test_the_check_finds_each_kind_of_typo_in_each_setting(check):
    """A name is reported when it nearly equals that of a setting, for example
    with one letter missing, doubled, or exchanged with its neighbour.
    """
    known = check.known_names()
    for number, name in enumerate(sorted(known)[::25], 1):
        before, two, after = (
            name[:number],
            name[number:][:2],
            name[number + 2 :],
        )
        typos = (two[0], two[0] + two, two[::-1])
        wrong = {before + typo + after: "1" for typo in typos}
        wrong.pop(name, None)
        assert len(list(check.warnings(wrong))) == len(wrong)


def test_the_check_accepts_every_setting_and_its_old_names(check):
    """The JSON schema of the settings holds the names that your version of
    Prefect accepts, the old ones included.
    """
    set_now = Settings().to_environment_variables(include_aliases=True)
    assert len(set_now) > 100
    assert list(check.warnings(set_now)) == []
    assert "PREFECT_LOGGING_SERVER_LEVEL" in check.known_names()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR", "reschedule"),
        ("PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_ENABLED", "true"),
        ("PREFECT_INTEGRATIONS_AWS_ECS_OBSERVER_ENABLED", "true"),
        ("PREFECT_SERVER_SERVICE_HOST", "10.0.0.7"),
        ("PREFECT_SERVER_SERVICE_PORT", "4200"),
        ("PREFECT_SERVER_PORT", "tcp://10.0.0.7:4200"),
        ("PREFECT_SERVER_PORT_4200_TCP", "tcp://10.0.0.7:4200"),
        ("PREFECT_SERVER_PORT_4200_TCP_ADDR", "10.0.0.7"),
        ("PREFECT_LOGGING_ROOT_LEVEL", "DEBUG"),
        ("PREFECT_LOGGING_LOGGERS_PREFECT_LEVEL", "DEBUG"),
        ("PREFECT__FLOW_RUN_ID", "1"),
        ("PREFECT_PROFILE", "team"),
        ("PREFECT_SERVER_ENCRYPTION_KEY", "1"),
        ("PREFECT_OF_NEXT_YEAR", "true"),
    ],
)
def test_the_check_passes_over_what_others_read(check, name, value):
    """The check says nothing about them, because their names do not resemble
    that of a setting, or because their value is an address as Kubernetes
    writes it.
    """
    assert name not in check.known_names()
    assert list(check.warnings({name: value})) == []


def test_a_name_that_resembles_no_setting_passes_the_check(
    check, monkeypatch, tmp_path
):
    """The check does not find a name that resembles no setting, such as
    `PREFECT_PERSIST_RESULTS`.
    """
    monkeypatch.setenv("PREFECT_PERSIST_RESULTS", "true")
    assert list(check.warnings({"PREFECT_PERSIST_RESULTS": "true"})) == []
    assert not Settings().results.persist_by_default


def test_config_view_leaves_two_kinds_of_names_out(monkeypatch, tmp_path):
    """`prefect config view` does not list a name in small letters, although
    Prefect reads it, and it does not list `PREFECT_SERVER_ENCRYPTION_KEY`,
    which is not among the settings.
    """
    monkeypatch.setenv(RIGHT.lower(), "true")
    monkeypatch.setenv("PREFECT_SERVER_ENCRYPTION_KEY", "not-a-real-one")
    assert Settings().results.persist_by_default
    seen = prefect_config(tmp_path, "view")
    assert seen.returncode == 0
    assert "PERSIST" not in seen.stdout.upper()
    assert "ENCRYPTION_KEY" not in seen.stdout


def test_config_set_knows_the_names(monkeypatch, tmp_path):
    """On your own machine, set a setting with `prefect config set`, which
    refuses names that it does not know.
    """
    seen = prefect_config(tmp_path, "set", f"{TYPO}=true")
    assert seen.returncode == 1
    assert f"Unknown setting name '{TYPO}'." in seen.stdout + seen.stderr
    assert "Unknown setting name '" in seen.stdout + seen.stderr
