import pytest
from prefect.automations import Automation
from prefect.events.actions import DeclareIncident
from prefect.exceptions import PrefectHTTPStatusError

from tests.programs import python


def prefect(*command, home):
    own = {"PREFECT_HOME": str(home), "COLUMNS": "300"}
    return python("-m", "prefect", *command, cwd=home, **own)


def test_an_sla_is_refused_after_the_deployment_was_made(dont, api):
    with pytest.raises(ValueError) as error:
        dont.deploy()

    assert str(error.value) == (
        "SLA configuration is currently only supported on Prefect Cloud."
    )
    assert api.read_deployment_by_name("load-warehouse/nightly-with-sla")


def test_an_automation_is_accepted_by_an_open_source_server(do):
    alert = do.deploy()

    assert Automation.read(alert.id).trigger.posture == "Proactive"
    alert.delete()


def test_an_incident_is_refused_by_an_open_source_server(do):
    incident = Automation(
        name="incident", trigger=do.SLOW, actions=[DeclareIncident()]
    )
    with pytest.raises(PrefectHTTPStatusError, match="422"):
        incident.create()


def test_a_managed_work_pool_cannot_be_created(tmp_path):
    ended = prefect(
        *("work-pool", "create", "managed", "--type", "prefect:managed"),
        home=tmp_path,
    )
    assert ended.returncode == 1
    assert "Unknown work pool type 'prefect:managed'." in ended.stdout


@pytest.mark.parametrize("command", ["webhook ls", "workspace ls"])
def test_webhooks_and_workspaces_ask_for_an_account(command, tmp_path):
    ended = prefect("cloud", *command.split(), home=tmp_path)
    assert ended.returncode == 1
    assert "Please log in with `prefect cloud login`" in ended.stdout
