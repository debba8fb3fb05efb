from datetime import timedelta
from uuid import uuid4

import pytest
from prefect import flow
from prefect.automations import Automation
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events import emit_event
from prefect.events.actions import DeclareIncident
from prefect.exceptions import PrefectHTTPStatusError
from prefect.schedules import Cron
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Retrying,
    Running,
)

from tests.observe import settles
from tests.programs import python

REFUSED = "SLA configuration is currently only supported on Prefect Cloud."


def yes_at(page):
    return f"[yes](https://www.prefect.io/docs/v3/{page})"


MANAGED = yes_at("how-to-guides/deployment_infra/managed")
SLAS = yes_at("concepts/slas")
INCIDENTS = yes_at("api-ref/events/cloud-events")
WEBHOOKS = yes_at("concepts/webhooks")
WORKSPACES = yes_at("how-to-guides/cloud/workspaces")


def prefect(command, home):
    """What a command prints, and whether it succeeds."""
    own = {"PREFECT_HOME": str(home), "COLUMNS": "300"}
    ended = python("-m", "prefect", *command.split(), cwd=home, **own)
    return ended.stdout, ended.returncode == 0


def test_an_sla_is_refused_after_the_deployment_was_made(dont, api):
    """A feature that only Prefect Cloud has ends with an error on your own
    server, and then a deployment may be half made.

    `apply` makes the deployment first. Then it comes to the SLA, sees that the
    server is not Prefect Cloud, and raises an error.

    The deployment is on the server without its alert, and the script that made
    it has stopped in the middle.
    """
    with pytest.raises(ValueError) as error:
        dont.deploy()

    assert str(error.value) == REFUSED
    made = api.read_deployment_by_name("load-warehouse/nightly-with-sla")
    api.delete_deployment(made.id)


def test_the_alert_hears_each_slow_run_and_no_other(do, api):
    """This automation acts when a run of the flow is still running ten minutes
    after it began.

    The trigger looks at the type of a state, so it knows each way in which a
    run can end, whatever the name of its last state. A run that is tried again
    has ten minutes for each attempt.
    """
    assert timedelta(minutes=10) == do.SLOW.within
    assert do.SLOW.expect == {"prefect.flow-run.*"}
    assert do.SLOW.match_related.model_dump() == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": "load-warehouse",
    }
    quick = do.SLOW.model_copy(update={"within": timedelta(seconds=10)})
    do.SLOW = quick
    deployment, alert = do.deploy()
    flow_id = api.create_flow(do.load_warehouse)
    names = {}

    def run(name, *states, flow=do.load_warehouse):
        new = api.create_flow_run(flow, name=name).id
        names[f"prefect.flow-run.{new}"] = name
        for state in states:
            api.set_flow_run_state(new, state, force=True)
        return f"prefect.flow-run.{new}"

    def flagged():
        wanted = {
            "event": {"name": ["prefect.automation.triggered"]},
            "resource": {"id": [f"prefect.automation.{alert.id}"]},
        }
        found = api.request("POST", "/events/filter", json={"filter": wanted})
        labels = [
            event["payload"]["triggering_labels"]
            for event in found.json()["events"]
        ]
        return sorted(names[label["prefect.resource.id"]] for label in labels)

    try:
        for end in (
            Completed(),
            Completed(name="Skipped"),
            Failed(),
            Failed(name="TimedOut"),
            Crashed(),
            Cancelled(),
        ):
            run(end.name, Running(), end)
        run("tried again", Running(), AwaitingRetry(), Retrying(), Completed())
        run("other flow", Running(), flow=flow(name="other-load")(lambda: 0))
        run("slow again", Running(), AwaitingRetry(), Retrying())
        slow = run("slow", Running())
        emit_event(
            "prefect.flow-run.heartbeat",
            resource={"prefect.resource.id": slow},
            related=[
                {
                    "prefect.resource.id": f"prefect.flow.{flow_id}",
                    "prefect.resource.role": "flow",
                    "prefect.resource.name": "load-warehouse",
                }
            ],
        )
        settles(flagged, ["slow", "slow again"])
    finally:
        alert.delete()
        api.delete_deployment(deployment)


def test_what_a_server_of_your_own_has(do, dont, api, tmp_path, table):
    """The column of your own server was seen on the Prefect version below."""
    name = f"cloud-or-not-{uuid4()}"

    def yes(what):
        return "yes" if what else "**no**"

    planned = do.load_warehouse.to_deployment(
        name, schedule=Cron("0 9 * * *"), concurrency_limit=1
    ).apply()
    deployed = api.read_deployment(planned)
    api.delete_deployment(planned)
    pool = api.create_work_pool(WorkPoolCreate(name=name, type="process"))
    api.delete_work_pool(name)
    deployment, alert = do.deploy()
    alert.delete()
    api.delete_deployment(deployment)

    managed = f"work-pool create {name} --type prefect:managed"
    said, managed = prefect(managed, tmp_path)
    assert "Unknown work pool type 'prefect:managed'." in said
    said, webhooks = prefect("cloud webhook ls", tmp_path)
    assert "Please log in with `prefect cloud login`" in said
    said, workspaces = prefect("cloud workspace ls", tmp_path)
    assert "Please log in with `prefect cloud login`" in said
    incident = Automation(
        name="incident", trigger=do.SLOW, actions=[DeclareIncident()]
    )
    try:
        incidents = incident.create()
    except PrefectHTTPStatusError as refused:
        assert refused.response.status_code == 422
        incidents = False
    try:
        slas = dont.deploy() or True
    except ValueError:
        slas = False
        made = api.read_deployment_by_name("load-warehouse/nightly-with-sla")
        api.delete_deployment(made.id)

    rows = [
        [
            "Schedules and concurrency limits",
            yes(deployed.schedules and deployed.global_concurrency_limit),
            "yes",
        ],
        ["Work pools with workers that you run", yes(pool), "yes"],
        ["Automations", yes(alert.id), "yes"],
        ["Work pools that need no worker of yours", yes(managed), MANAGED],
        ["SLAs", yes(slas), SLAS],
        ["Incidents", yes(incidents), INCIDENTS],
        ["Webhooks that others call", yes(webhooks), WEBHOOKS],
        ["Workspaces", yes(workspaces), WORKSPACES],
        ["Database, updates, access, backups", "your work", "their work"],
    ]
    head = ["You need", "Your own server", "Prefect Cloud (documentation)"]
    table("offers.md", head, rows)
