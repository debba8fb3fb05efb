import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.backend import patient, prefect_server

ROOM = Path("snippets/scaling/switch_servers_with_profiles")
LAPTOP = "http://127.0.0.1:4200/api"
TEAM = "http://prefect.example.org:4200/api"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two real servers, by the addresses that the profiles give them."""
    home = tmp_path_factory.mktemp("team")
    with prefect_server(home) as team:
        yield {LAPTOP: os.environ["PREFECT_API_URL"], TEAM: team}


@pytest.fixture
def shell(servers, tmp_path):
    """Run shell lines where report.py and profiles.toml are."""
    environment = os.environ | {"PREFECT_HOME": str(tmp_path)}
    del environment["PREFECT_API_URL"]

    def with_real_addresses(text):
        for shown, real in servers.items():
            text = text.replace(shown, real)
        return text

    def run(lines, **extra):
        return subprocess.run(
            ["sh", "-e", "-c", with_real_addresses(lines)],
            cwd=tmp_path,
            env=environment | extra,
            capture_output=True,
            text=True,
        )

    profiles = (ROOM / "profiles.toml").read_text()
    (tmp_path / "profiles.toml").write_text(with_real_addresses(profiles))
    shutil.copy(ROOM / "report.py", tmp_path)
    return run


def trials(servers):
    """Count the runs of the report on each server."""
    body = {"flows": {"name": {"any_": ["trial-report"]}}}
    return {
        shown: httpx.post(
            f"{real}/flow_runs/count", json=body, timeout=patient(20)
        ).json()
        for shown, real in servers.items()
    }


def runs_of(script, shell, servers):
    before = trials(servers)
    ended = shell((ROOM / script).read_text())
    assert ended.returncode == 0, ended.stderr
    after = trials(servers)
    return ended, {name: after[name] - before[name] for name in after}


def test_a_variable_beats_the_profile_and_the_trial_reaches_the_team(
    shell, servers
):
    ended, new_runs = runs_of("dont.sh", shell, servers)

    assert new_runs == {LAPTOP: 0, TEAM: 1}
    said = "Connected to Prefect server using profile 'laptop'"
    assert said in ended.stdout


def test_with_profiles_alone_the_trial_stays_on_the_laptop(shell, servers):
    _, new_runs = runs_of("do.sh", shell, servers)

    assert new_runs == {LAPTOP: 1, TEAM: 0}


def test_config_view_says_where_the_address_comes_from(shell):
    assert "(from profile)" in shell("prefect config view").stdout
    seen = shell("prefect config view", PREFECT_API_URL=TEAM).stdout
    assert f"PREFECT_API_URL='{TEAM}' (from env)" in seen


def test_a_misspelled_profile_is_replaced_by_a_temporary_server(shell):
    show = "import prefect; print(prefect.settings.PREFECT_API_URL.value())"
    ended = shell(f"{sys.executable} -c '{show}'", PREFECT_PROFILE="labtop")
    assert ended.stdout.strip() == "None"
    assert (
        "Active profile 'labtop' set by environment variable not found."
        " The default profile will be used instead."
    ) in ended.stderr
