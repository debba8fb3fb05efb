import os

import pytest
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import Settings, get_current_settings
from pydantic import ValidationError

from tests.book import ROOT
from tests.programs import python

TYPO = "PREFECT_RESULT_PERSIST_BY_DEFAULT"
RIGHT = "PREFECT_RESULTS_PERSIST_BY_DEFAULT"
CHECK = ROOT / "snippets/secrets/catch_setting_typos/setting_names.py"


@pytest.mark.parametrize(
    ("name", "fetched"), [(TYPO, ["USD", "USD"]), (RIGHT, ["USD"])]
)
def test_only_the_right_name_persists_the_result(
    dont, monkeypatch, tmp_path, name, fetched
):
    monkeypatch.setenv(name, "true")
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path))
    profile = get_settings_context().profile
    with SettingsContext(profile=profile, settings=Settings()):
        dont.report()

    assert dont.fetched == fetched


def test_prefect_validates_values_and_not_names(monkeypatch, tmp_path):
    monkeypatch.setenv(TYPO, "true")
    tmp_path.joinpath("prefect.toml").write_text("[result]\npersist = true")
    seen = python("-m", "prefect", "config", "validate", cwd=tmp_path)
    assert (seen.stdout, seen.stderr) == ("Configuration valid!\n", "")

    monkeypatch.setenv(RIGHT, "maybe")
    with pytest.raises(ValidationError, match="valid boolean"):
        Settings()


def test_config_set_knows_the_names(tmp_path):
    typo = ("config", "set", f"{TYPO}=true")
    seen = python("-m", "prefect", *typo, cwd=tmp_path)

    assert seen.returncode == 1
    assert (
        "Unknown setting name 'PREFECT_RESULT_PERSIST_BY_DEFAULT'."
        in seen.stdout + seen.stderr
    )


def test_a_typo_leaves_a_server_without_its_password(do, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_AUTH_STRING", "admin:not-a-real-one")
    assert Settings().server.api.auth_string is None

    with pytest.raises(NameError, match="PREFECT_SERVER_API_AUTH_STRING"):
        do.setting_names.check(os.environ)


def test_the_check_stops_a_start_and_accepts_what_prefect_reads(
    do, monkeypatch, tmp_path
):
    names = get_current_settings().to_environment_variables()
    do.setting_names.check([*names, "PREFECT__FLOW_RUN_ID"])

    monkeypatch.setenv(TYPO, "true")
    seen = python(CHECK, cwd=tmp_path)
    assert seen.returncode == 1
    assert f"NameError: {TYPO} is no setting. Similar: ['{RIGHT}']" in (
        seen.stderr
    )
