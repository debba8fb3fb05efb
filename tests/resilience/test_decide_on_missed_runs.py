import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from prefect import flow
from prefect.automations import Automation
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import EventTrigger
from prefect.events.actions import CancelFlowRun
from prefect.states import Completed, Late, Pending, Running, Scheduled
from prefect.workers.process import ProcessWorker, ProcessWorkerResult

from tests.observe import automations_act, settles

HOURS = [f"{hour:02}:00" for hour in range(6)]


class Worker(ProcessWorker):
    """A process worker that starts no process, and says what it would start."""

    type = "process that starts nothing"

    def __init__(self, pool: str):
        super().__init__(work_pool_name=pool)
        self.started = []

    async def run(self, flow_run, configuration, task_status=None):
        self.started.append(flow_run)
        task_status.started(0)
        return ProcessWorkerResult(status_code=0, identifier="")


@pytest.fixture
def night(do):
    """Nights of deployments, which are forgotten in the end."""
    import night

    class Night(SimpleNamespace):
        def pass_with(self, strategy: str | None, missed: bool = True):
            self.forget()
            options = {}
            if strategy:
                options["concurrency_limit"] = ConcurrencyLimitConfig(
                    limit=1, collision_strategy=strategy
                )
            deployment = night.deploy(do.send_forecast, **options)
            self.deployments.append(deployment)
            if missed:
                night.pass_without_worker(deployment)
            return deployment

        def forget(self) -> None:
            while self.deployments:
                night.forget(self.deployments.pop())

        def due(self, api) -> list:
            found = api.get_scheduled_flow_runs_for_work_pool(self.NAME)
            return [answer.flow_run for answer in found]

    nights = Night(deployments=[], NAME=night.NAME)
    yield nights
    nights.forget()


def runs_of(api, deployment) -> list:
    return api.read_flow_runs(
        deployment_filter=DeploymentFilter(id={"any_": [deployment]}),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def states(api, deployment) -> list[str]:
    return [run.state_name for run in runs_of(api, deployment)]


def ask(api, runs) -> list[str]:
    """Ask for Pending, one run after the other."""
    return [api.set_flow_run_state(r.id, Pending()).state.name for r in runs]


def test_the_newest_is_kept(api, night, do, capsys):
    """Before the worker starts, cancel all missed runs of the deployment but
    the newest one.

    Runs that are still to come stay as they are, and so do those of other
    deployments.
    """
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    passed = datetime.now(UTC) - timedelta(days=9)
    # A program that was interrupted has left its pool.
    api.create_work_pool(WorkPoolCreate(name=night.NAME, type="process"))
    deployment = night.pass_with("CANCEL_NEW")
    other = flow(do.send_forecast.fn, name="send-map").to_deployment("missed")
    other = other.apply()
    for state in Scheduled(scheduled_time=passed), Late(scheduled_time=passed):
        api.create_flow_run_from_deployment(deployment, state=state)
    for where in deployment, other:
        api.create_flow_run_from_deployment(
            where, state=Scheduled(scheduled_time=tomorrow)
        )
    api.create_flow_run_from_deployment(
        other, state=Late(scheduled_time=passed)
    )

    under_way = api.create_flow_run_from_deployment(
        deployment, state=Late(scheduled_time=passed - timedelta(days=1))
    )
    api.set_flow_run_state(under_way.id, Running(), force=True)

    do.keep_the_newest(deployment)
    first, *older, newest, to_come = runs_of(api, deployment)
    assert (first.id, first.state_name) == (under_way.id, "Running")
    assert len(older) == 7
    assert {(r.state_name, r.state.message) for r in older} == {
        ("Cancelled", "Missed")
    }
    assert (newest.state_name, to_come.state_name) == ("Late", "Scheduled")
    assert states(api, other) == ["Late", "Scheduled"]
    do.keep_the_newest(api.read_deployment(other).id)
    assert states(api, other) == ["Late", "Scheduled"]
    api.delete_deployment(other)

    do.night.start_worker(do.send_forecast)
    assert "the forecast of 05:00\n" in capsys.readouterr().out


def test_a_worker_starts_all_that_it_missed(api, night):
    """A worker that comes back starts all runs that it missed, and a limit that
    cancels keeps the one that asks first, not the newest.

    A run that no worker started is not given up: it is `Late`, and waits until
    one comes. The worker gets all of them oldest first, and asks the server for
    all of them at once.
    """
    night.pass_with(None)
    assert api.read_work_pool(night.NAME).type == "process"
    due = [run.expected_start_time for run in night.due(api)]
    assert [f"{time:%H:%M}" for time in due] == HOURS
    assert datetime.now(UTC) - due[0] < timedelta(days=2)
    worker = Worker(night.NAME)
    asyncio.run(worker.start(run_once=True))
    started = {f"{run.expected_start_time:%H:%M}" for run in worker.started}
    assert started == {*HOURS}


def test_a_limit_that_cancels_does_not_keep_the_newest(
    api, night, dont, capsys, caplog
):
    """A worker that comes back starts all runs that it missed, and a limit that
    cancels keeps the one that asks first, not the newest.

    With a limit of one and `CANCEL_NEW`, five of six are `Cancelled`. Which one
    is left is a matter of luck, and as a rule it is an old one.
    """
    deployment = night.pass_with("CANCEL_NEW")
    worker = Worker(night.NAME)
    asyncio.run(worker.start(run_once=True))
    assert len(worker.started) == 1
    assert states(api, deployment).count("Cancelled") == 5
    refused = "Server returned a non-pending state 'CANCELLED'"
    assert caplog.text.count(refused) == 5

    deployment = night.pass_with("CANCEL_NEW")
    dont.night.start_worker(dont.send_forecast)
    assert states(api, deployment) == ["Completed", *["Cancelled"] * 5]
    assert "the forecast of 00:00\n" in capsys.readouterr().out


def test_one_call_reads_200_runs(api):
    """One call reads at most 200 runs, so call the function again if more were
    missed.
    """
    with pytest.raises(httpx.HTTPStatusError, match="422"):
        api.read_flow_runs(limit=201)


def test_what_becomes_of_missed_runs(api, night, do, table):
    """Decide for each deployment what becomes of the runs that it missed:

    An automation on `Late` needs no program, but it cancels the newest run too.
    """
    started = {}
    night.pass_with(None)
    started["no limit"] = ask(api, night.due(api)).count("Pending")

    deployment = night.pass_with("ENQUEUE")
    turns = 0
    while runs := night.due(api):
        names = ask(api, runs)
        assert names.count("Pending") == 1
        assert names.count("AwaitingConcurrencySlot") == len(runs) - 1
        begun = runs[names.index("Pending")]
        api.set_flow_run_state(begun.id, Completed())
        turns += 1
    assert states(api, deployment) == ["Completed"] * 6
    started["ENQUEUE"] = turns

    deployment = night.pass_with("CANCEL_NEW")
    do.keep_the_newest(deployment)
    started["newest"] = ask(api, night.due(api)).count("Pending")

    deployment = night.pass_with(None, missed=False)
    cancel = Automation(
        name="missed-runs",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Late"},
            match_related={
                "prefect.resource.id": f"prefect.deployment.{deployment}"
            },
        ),
        actions=[CancelFlowRun()],
    ).create()
    try:
        automations_act(api)
        do.night.pass_without_worker(deployment)
        settles(lambda: states(api, deployment), ["Cancelled"] * 6)
    finally:
        cancel.delete()
    started["automation"] = ask(api, night.due(api)).count("Pending")

    rows = [
        ["each run has work of its own", "no limit", "no limit", "at once"],
        [
            "each has work of its own, and two must not overlap",
            "a limit of one with [`ENQUEUE`](../scaling/prevent-overlap.md)",
            "ENQUEUE",
            "one after the other",
        ],
        [
            "a run does all the work there is",
            "`keep_the_newest` before the worker starts",
            "newest",
            "the newest",
        ],
        [
            "a run that is late is of no use",
            "an automation on `Late` that cancels the run",
            "automation",
            "",
        ],
    ]
    table(
        "decision.md",
        ["Advice: if", "Use", "Of six missed runs, these start"],
        [
            [when, use, f"{started[key]}" + (how and f", {how}")]
            for when, use, key, how in rows
        ],
    )


def test_the_server_plans_only_what_is_to_come(api, do):
    """The server plans runs ahead: by default the next three of a schedule, or
    those of the next hour if these are more. It plans none for a time that has
    passed, so what is late when it comes back is at most what it had planned
    before.
    """
    began = datetime.now(UTC)
    for name, cron, planned in (
        ("daily", "0 6 * * *", {3}),
        ("each-minute", "* * * * *", {60, 61, 62}),
    ):
        deployment = do.send_forecast.to_deployment(name, cron=cron).apply()

        def found(deployment=deployment):
            return [
                run.expected_start_time
                for run in runs_of(api, deployment)
                if run.auto_scheduled
            ]

        settles(lambda f=found, p=planned: len(f()) in p, True)
        assert min(found()) > began
        api.delete_deployment(deployment)
