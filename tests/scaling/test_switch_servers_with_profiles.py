import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest

from tests.backend import free_port, patient, prefect_server

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
    home = {"PREFECT_HOME": str(tmp_path), "COLUMNS": "200"}
    environment = os.environ | home
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
    shell, servers, tmp_path
):
    """An address in a shell variable beats the profile you choose, so a trial
    on your laptop can run on the team's server.

    The variable of the morning is still there, so the trial goes to the team.
    `prefect profile use` writes the choice to the file, tests the connection,
    and names the profile. The connection that it tests is the one of the
    variable.
    """
    ended, new_runs = runs_of("dont.sh", shell, servers)

    assert new_runs == {LAPTOP: 0, TEAM: 1}
    said = "Connected to Prefect server using profile 'laptop'"
    assert said in ended.stdout
    shell("prefect profile use team")
    file = tmp_path / "profiles.toml"
    assert tomllib.loads(file.read_text())["active"] == "team"
    nobody = f"http://127.0.0.1:{free_port()}/api"
    ended = shell("prefect profile use laptop", PREFECT_API_URL=nobody)
    assert "Connected" not in ended.stdout
    assert tomllib.loads(file.read_text())["active"] == "laptop"


def test_with_profiles_alone_the_trial_stays_on_the_laptop(shell, servers):
    """For one command on another server, name the profile in the command. It is
    forgotten when the command ends.

    The trial is on the laptop.
    """
    team = servers[TEAM]
    morning = httpx.post(f"{team}/flows/", json={"name": "of-the-team"}).json()
    httpx.post(
        f"{team}/flow_runs/", json={"flow_id": morning["id"], "name": "morning"}
    ).raise_for_status()
    shell("prefect profile use team")
    ended, new_runs = runs_of("do.sh", shell, servers)

    assert new_runs == {LAPTOP: 1, TEAM: 0}
    assert "morning" in ended.stdout


def test_the_profiles_are_what_the_page_shows():
    """The flow is the same file for all three servers."""
    cloud = "https://api.prefect.cloud/api/accounts/A/workspaces/W"
    assert tomllib.loads((ROOM / "profiles.toml").read_text()) == {
        "active": "laptop",
        "profiles": {
            name: {"PREFECT_API_URL": address}
            for name, address in (
                ("laptop", LAPTOP),
                ("team", TEAM),
                ("cloud", cloud),
            )
        },
    }
    assert "PREFECT" not in (ROOM / "report.py").read_text()


def test_config_view_says_where_the_address_comes_from(shell):
    """Prefect looks for each setting in several places, and the environment
    comes before the profile.

    `prefect config view` shows what counts, with the source: `(from profile)`
    or `(from env)`.
    """
    assert "(from profile)" in shell("prefect config view").stdout
    seen = shell("prefect config view", PREFECT_API_URL=TEAM).stdout
    assert f"PREFECT_API_URL='{TEAM}' (from env)" in seen


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", f"PREFECT_API_URL={TEAM}\n"),
        ("prefect.toml", f'[api]\nurl = "{TEAM}"\n'),
    ],
)
def test_files_of_the_working_directory_beat_the_profile(
    shell, tmp_path, file, text
):
    """A `.env` file and a `prefect.toml` in the working directory come before
    the profile too.
    """
    (tmp_path / file).write_text(text)
    assert f"PREFECT_API_URL='{TEAM}'" in shell("prefect config view").stdout


def test_a_misspelled_profile_is_replaced_by_a_temporary_server(shell):
    """Or the profile's name in `PREFECT_PROFILE` has a typo. Then the run is on
    no server that you know:
    """
    show = "import prefect; print(prefect.settings.PREFECT_API_URL.value())"
    ended = shell(f"{sys.executable} -c '{show}'", PREFECT_PROFILE="labtop")
    assert ended.stdout.strip() == "None"
    assert (
        "Active profile 'labtop' set by environment variable not found."
        " The default profile will be used instead."
    ) in ended.stderr
