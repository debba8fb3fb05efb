import os
import re
import socket

import pytest
from prefect.client.schemas.filters import FlowFilter

from tests.backend import patient
from tests.book import ROOT
from tests.programs import python

ORDERS = ROOT / "snippets/secrets/fail_closed_on_the_api_url/orders.py"
REFUSAL = (
    "ValueError: No Prefect API URL provided. Please set PREFECT_API_URL to"
    " the address of a running Prefect server."
)


def run_orders(machine, **environment):
    nothing = dict.fromkeys(os.environ)
    home = {"PREFECT_HOME": str(machine)}
    return python(ORDERS, cwd=machine, **nothing | home | environment)


def test_a_temporary_server_is_allowed_by_a_profile(dont):
    """There is no `PREFECT_API_URL` among the settings, and a temporary server
    is allowed. The permission comes from a profile that Prefect uses where
    there is no `profiles.toml`.
    """
    settings = dont.on_a_new_machine("-m", "prefect", "config", "view")
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED='true' (from profile)" in settings
    assert "PREFECT_API_URL" not in str(settings)


def test_without_a_url_the_run_succeeds_where_the_team_cannot_see_it(
    api, tmp_path
):
    """Without PREFECT_API_URL Prefect by default starts a server of its own,
    and a run succeeds where your team cannot see it.

    If `orders.py` runs on that machine, Prefect starts a temporary server,
    stores the run in a database in `PREFECT_HOME`, and stops the server at the
    end. The exit code is 0, but your own server learns nothing of the run.
    """
    run = run_orders(
        tmp_path,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=f"{patient(120):.0f}",
    )
    assert (run.returncode, run.stdout) == (0, "Orders loaded: 2\n")
    assert "Loading the orders" in run.stderr
    assert "Starting temporary server on http://127.0.0.1:" in run.stderr
    assert (tmp_path / "prefect.db").exists()
    port = re.search(r"server on http://127.0.0.1:(\d+)", run.stderr)[1]
    with socket.socket() as stopped:
        assert stopped.connect_ex(("127.0.0.1", int(port))) != 0
    this_flow = FlowFilter(name={"any_": ["load-forgotten-orders"]})
    assert api.read_flows(flow_filter=this_flow) == []


def test_a_closed_machine_refuses_to_run(do):
    """The last line is how `orders.py` ends on such a machine. It ends before
    the first line of the flow, so no work is done twice when you run it again
    with the address.
    """
    output = do.on_a_new_machine(do.ORDERS, **do.CLOSED)

    assert output[-1] == REFUSAL
    assert "ValueError: No Prefect API URL provided." in output[-1]
    assert "Loading the orders" not in str(output)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prefect.toml", "[server.ephemeral]\nenabled = false\n"),
        ("profiles.toml", 'active = "team"\n[profiles.team]\n'),
    ],
)
def test_a_file_closes_the_machine_as_well(tmp_path, file, text):
    """Or write `enabled = false` under `[server.ephemeral]` into a
    `prefect.toml` in the working directory, which counts more than the
    built-in profile. A profile of your own in `profiles.toml` forbids the
    temporary server too, because the default of the setting is `false`.
    """
    tmp_path.joinpath(file).write_text(text)
    run = run_orders(tmp_path)

    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == REFUSAL
