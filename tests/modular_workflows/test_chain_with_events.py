import json
from datetime import timedelta

import pytest
from prefect import flow
from prefect.client.schemas.filters import DeploymentFilter
from prefect.events import (
    DeploymentCompoundTrigger,
    DeploymentEventTrigger,
    EventTrigger,
)
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from tests.observe import automations_act, settles

DAY = "{{ flow_run.parameters.day }}"


@pytest.fixture
def deploy(do, api):
    """Deploy flows; in the end delete them, their runs and automations."""
    deployed = []

    def deploy(flow, name="daily", **options):
        deployed.append(flow.to_deployment(name, **options).apply())
        if "triggers" in options:
            automations_act(api)
        return deployed[-1]

    yield deploy
    for deployment in dict.fromkeys(deployed):
        do.worker.forget(deployment)


@pytest.fixture
def runs(api):
    """List the runs of a deployment: their parameters and who made them."""

    def runs(deployment):
        found = api.read_flow_runs(
            deployment_filter=DeploymentFilter(id={"any_": [deployment]})
        )
        return [(run.parameters, run.created_by.type) for run in found]

    return runs


@pytest.fixture
def end(api):
    """Tell the server of a run of a deployment and of the states it enters."""

    def end(deployment, *states, day="Monday"):
        run = api.create_flow_run_from_deployment(
            deployment, parameters={"day": day}
        )
        for state in states:
            api.set_flow_run_state(run.id, state, force=True)
        return run.id

    return end


@pytest.fixture
def refused(api):
    """Why actions of the automations of a deployment failed."""

    def reasons(deployment):
        owned = f"/automations/related-to/prefect.deployment.{deployment}"
        (automation,) = api.request("GET", owned).json()
        events = {
            "event": {"name": ["prefect.automation.action.failed"]},
            "resource": {"id": [f"prefect.automation.{automation['id']}"]},
        }
        found = api.request(
            "POST", "/events/filter", json={"filter": events}
        ).json()["events"]
        return [event["payload"]["reason"] for event in found]

    return reasons


def test_a_schedule_does_not_wait_for_another_flow(dont, api, deploy):
    """A schedule does not know whether another flow has ended, so when that is
    late, the run works on the data of yesterday.
    """
    schedule = dont.Cron("30 6 * * *")
    bills = deploy(dont.bill_customers, schedule=schedule)
    loads = deploy(dont.load_readings)
    end_of_load = dont.worker.run_next(dont.load_readings, loads)

    assert end_of_load == "no run"
    assert dont.worker.run_next(dont.bill_customers, bills) == (
        "bills of today from the readings of Sunday"
    )


def test_the_end_of_a_run_starts_the_next(do, deploy, runs):
    """The server makes a run of the deployment when it gets the event, and
    gives it the parameters that stand in the trigger.
    """
    loads = deploy(do.load_readings)
    bills = deploy(do.bill_customers, triggers=[do.AFTER_THE_LOAD])
    do.run_deployment(loads, parameters={"day": "Monday"}, timeout=0)
    assert do.worker.run_next(do.bill_customers, bills) == "no run"

    assert do.worker.run_next(do.load_readings, loads) == "readings of Monday"
    assert do.worker.run_next(do.bill_customers, bills, seconds=60) == (
        "bills of Monday from the readings of Monday"
    )
    assert runs(bills) == [({"day": "Monday"}, "AUTOMATION")]


def test_only_a_good_end_of_this_deployment_starts_it(do, deploy, runs, end):
    """A load that fails, crashes or is cancelled starts nothing.

    All entries of `match_related` must match. The second one keeps out a run
    of the flow that somebody starts by hand.

    By default each event that matches starts a run: `threshold` is 1 and the
    posture is `Reactive`.
    """
    trigger = DeploymentEventTrigger(expect={"prefect.flow-run.Completed"})
    assert (trigger.threshold, trigger.posture) == (1, "Reactive")
    loads = deploy(do.load_readings)
    others = deploy(flow(lambda day: day, name="load-tariffs"))
    bills = deploy(do.bill_customers, triggers=[do.AFTER_THE_LOAD])
    for state in Failed(), Crashed(), Cancelled():
        end(loads, state)
    end(others, Completed())
    do.load_readings("Sunday")

    for day in "Monday", "Tuesday":
        end(loads, Completed(), day=day)
    settles(
        lambda: sorted(parameters["day"] for parameters, _ in runs(bills)),
        ["Monday", "Tuesday"],
    )


def test_a_run_that_completes_twice_starts_two(do, deploy, runs, end, api):
    """A load that somebody runs again and that completes again starts a second
    run. A deployment that you apply twice has one automation.
    """
    loads = deploy(do.load_readings)
    for _ in range(2):
        bills = deploy(do.bill_customers, triggers=[do.AFTER_THE_LOAD])
    owned = f"/automations/related-to/prefect.deployment.{bills}"
    assert len(api.request("GET", owned).json()) == 1

    end(loads, Completed(), Running(), Completed())
    settles(lambda: runs(bills), [({"day": "Monday"}, "AUTOMATION")] * 2)


def test_a_template_keeps_the_type_of_a_value(
    do, deploy, runs, end, refused, table
):
    """A string in braces gives the run the value itself, with its type; the
    form with `__prefect_kind` gives it text. What `load(day=7)` hands to
    `count(number: int, text: str)`:

    A value that cannot be made, or that the flow refuses, starts no run, and no
    run fails: all you have is an event, `prefect.automation.action.failed`.
    """

    @flow(name="count-readings")
    def count(number: int = 0, text: str = ""): ...

    @flow(name="load-meters")
    def load(day: int): ...

    loads = deploy(load)
    kind = '{"__prefect_kind": "jinja", "template": "' + DAY + '"}'
    forms = [
        ("number", f'"{DAY}"'),
        ("number", kind),
        ("number", '"{{ flow_run.parameters.dya }}"'),
        ("text", kind),
        ("text", '"day {{ flow_run.parameters.day }}"'),
        ("text", '"day {{ flow_run.parameters.dya }}"'),
        ("text", '"{{ flow.name }}/{{ deployment.name }}"'),
        ("text", '"{{ event.event }}"'),
    ]
    started = [
        deploy(
            count,
            f"{parameter}-{number}",
            triggers=[
                DeploymentEventTrigger(
                    expect={"prefect.flow-run.Completed"},
                    match_related={
                        "prefect.resource.id": f"prefect.deployment.{loads}"
                    },
                    parameters={parameter: json.loads(form)},
                )
            ],
        )
        for number, (parameter, form) in enumerate(forms)
    ]
    end(loads, Completed(), day=7)
    rows, reasons = [], []
    for deployment, (parameter, form) in zip(started, forms, strict=True):
        settles(lambda d=deployment: len(runs(d)) + len(refused(d)), 1)
        said = "no run"
        for parameters, _ in runs(deployment):
            said = f"`{json.dumps(parameters[parameter])}`"
        reasons += refused(deployment)
        rows.append([f"`{parameter}`", f"`{form}`", said])

    table("parameters.md", ["Parameter", "In the trigger", "In the run"], rows)
    assert reasons == [
        "Validation error occurred for 'run-deployment' - Error creating flow"
        " run: Validation failed for field 'number'. Failure reason: '7' is not"
        " of type 'integer'",
        "Unable to create flow run from deployment: InvalidJinja()",
    ]


def test_a_compound_trigger_waits_for_two(do, deploy, runs, end):
    """If a run needs two loads, give it a `DeploymentCompoundTrigger`: it fires
    when both have come within the time that you give.
    """
    loads = [
        deploy(do.load_readings),
        deploy(flow(lambda day: day, name="load-tariffs")),
    ]
    both = DeploymentCompoundTrigger(
        require="all",
        within=timedelta(hours=6),
        triggers=[
            EventTrigger(
                expect={"prefect.flow-run.Completed"},
                match_related={
                    "prefect.resource.id": f"prefect.deployment.{d}"
                },
            )
            for d in loads
        ],
    )
    bills = deploy(do.bill_customers, triggers=[both])
    end(loads[0], Completed())
    end(loads[0], Completed())
    end(loads[1], Completed())
    settles(lambda: len(runs(bills)), 1)
