import os

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


def test_without_a_url_the_run_succeeds_where_the_team_cannot_see_it(
    dont, api, tmp_path
):
    settings = dont.on_a_new_machine("-m", "prefect", "config", "view")
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED='true' (from profile)" in settings

    run = run_orders(
        tmp_path,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS=f"{patient(120):.0f}",
    )
    assert (run.returncode, run.stdout) == (0, "Orders loaded: 2\n")
    assert "Starting temporary server on http://127.0.0.1:" in run.stderr
    assert (tmp_path / "prefect.db").exists()
    this_flow = FlowFilter(name={"any_": ["load-forgotten-orders"]})
    assert api.read_flows(flow_filter=this_flow) == []


def test_a_closed_machine_refuses_to_run(do):
    output = do.on_a_new_machine(do.ORDERS, **do.CLOSED)

    assert output[-1] == REFUSAL
    assert "Orders loaded: 2" not in output


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("prefect.toml", "[server.ephemeral]\nenabled = false\n"),
        ("profiles.toml", 'active = "team"\n[profiles.team]\n'),
    ],
)
def test_a_file_closes_the_machine_as_well(tmp_path, file, text):
    tmp_path.joinpath(file).write_text(text)
    run = run_orders(tmp_path)

    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == REFUSAL
