from datetime import date
from pathlib import Path

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.deployments import run_deployment
from prefect.states import Completed, Failed, Pending

from tests.programs import python

ROOM = Path("snippets/resilience/backfill_safely").resolve()
FIRST = date(2026, 3, 1)


@pytest.fixture
def deploy(api):
    """Deploy until the test ends."""
    deployments = []

    def add(flow, name="backfill", **options):
        deployments.append(flow.to_deployment(name, **options).apply())
        return deployments[-1]

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


def runs_of(api, *deployments, **options) -> list:
    return api.read_flow_runs(
        deployment_filter=DeploymentFilter(id={"any_": [*deployments]}),
        **options,
    )


def days_of(runs) -> list[str]:
    return sorted(run.parameters["day"][-2:] for run in runs)


def test_each_call_makes_a_run(dont, deploy, api):
    """A backfill that stopped half way loads its first days twice when you
    start it again, because each call of run_deployment makes a new run.

    `run_deployment` makes a run, and with `timeout=0` it does not wait for its
    end. The server compares no parameters, so the second call for a day makes
    another run.
    """
    deployment = deploy(dont.load_readings)
    dont.backfill(dont.DAYS[:2])
    dont.backfill(dont.DAYS)

    runs = runs_of(api, deployment)
    assert days_of(runs) == ["01", "01", "02", "02", "03", "04"]


def test_with_a_key_each_day_has_one_run(do, deploy, api, tmp_path):
    """With a key that says which day it is, the second call returns the run of
    the first one, and only the days that are left get a run.

    The tag finds the runs of the backfill.
    """
    other = deploy(do.load_readings, "other")
    run_deployment(other, parameters={"day": FIRST}, timeout=0)
    program = python(ROOM / "do.py", cwd=tmp_path)
    assert program.stdout == (ROOM / "do.out").read_text()

    deployment = deploy(do.load_readings)
    do.backfill(do.DAYS[:2])
    begun = {run.id for run in runs_of(api, deployment)}
    assert len(begun) == 2
    do.backfill(do.DAYS)

    tagged = FlowRunFilter(tags={"all_": ["backfill-march"]})
    runs = runs_of(api, deployment, flow_run_filter=tagged)
    assert days_of(runs) == ["01", "02", "03", "04"]
    assert begun < {run.id for run in runs}
    assert {run.state_name for run in runs} == {"Scheduled"}


def test_a_failed_day_keeps_its_run(do, deploy, api, tmp_path):
    """A day that failed is not run again: the call returns the failed run.

    `prefect flow-run retry` with the id of a run starts that run again.
    """
    deployment = deploy(do.load_readings)
    do.backfill([FIRST])
    (failed,) = runs_of(api, deployment)
    api.set_flow_run_state(failed.id, Failed(), force=True)

    do.backfill([FIRST])
    (run,) = runs_of(api, deployment)
    assert (run.id, run.state_name) == (failed.id, "Failed")

    retry = ("-m", "prefect", "flow-run", "retry", str(run.id))
    assert python(*retry, cwd=tmp_path).returncode == 0
    (run,) = runs_of(api, deployment)
    assert (run.id, run.state_name) == (failed.id, "Scheduled")


def test_a_key_belongs_to_the_flow(do, deploy, api):
    """A key belongs to the flow, so two deployments of one flow share it. Put
    the name of the deployment into the key, or the second one gets the run of
    the first.
    """
    one, two = (deploy(do.load_readings, name) for name in ("fill-1", "fill-2"))

    def start(deployment, key):
        return run_deployment(
            deployment,
            parameters={"day": FIRST},
            timeout=0,
            idempotency_key=key,
        ).deployment_id

    assert [start(one, "day"), start(two, "day")] == [one, one]
    assert [start(d, f"{d} day") for d in (one, two)] == [one, two]


def test_a_key_holds_as_long_as_its_run(do, deploy, api):
    """A key holds as long as the run is on the server: when the run is deleted,
    the next call makes a new one. So a server that trims its history forgets
    the keys too.
    """
    deployment = deploy(do.load_readings)
    do.backfill([FIRST])
    (before,) = runs_of(api, deployment)
    api.set_flow_run_state(before.id, Completed(), force=True)
    do.backfill([FIRST])
    assert [run.id for run in runs_of(api, deployment)] == [before.id]

    api.delete_flow_run(before.id)
    do.backfill([FIRST])
    (after,) = runs_of(api, deployment)
    assert after.id != before.id


def test_a_queue_keeps_a_backfill_from_the_other_runs(do, deploy, api):
    """Give the runs `work_queue_name="backfill"`, and that queue a limit: then
    at most that many runs of the backfill are under way. If it also has a lower
    priority than the queue of the nightly load, that one comes first.
    """
    pool = WorkPoolCreate(name="backfill-safely", type="process")
    api.create_work_pool(pool)
    try:
        api.create_work_queue(
            "backfill",
            work_pool_name=pool.name,
            concurrency_limit=1,
            priority=2,
        )
        deployment = deploy(do.load_readings, work_pool_name=pool.name)
        backfill = [
            run_deployment(
                deployment,
                parameters={"day": day},
                timeout=0,
                work_queue_name="backfill",
            ).id
            for day in do.DAYS
        ]
        nightly = run_deployment(
            deployment, parameters={"day": FIRST}, timeout=0
        ).id

        def due() -> list:
            found = api.get_scheduled_flow_runs_for_work_pool(pool.name)
            return [answer.flow_run.id for answer in found]

        first, second = due()
        assert first == nightly
        assert second in backfill
        for run in first, second:
            api.set_flow_run_state(run, Pending())
        assert due() == []
    finally:
        api.delete_work_pool(pool.name)
