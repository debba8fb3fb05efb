# The flow in alerts.py needs a token that no test sets.
import asyncio

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.deployments import run_deployment
from prefect.flows import load_flow_from_entrypoint
from prefect.workers.process import ProcessWorker

from tests.book import ROOT
from tests.observe import settles
from tests.programs import python

ROOM = ROOT / "snippets/modular_workflows/no_work_at_import"
POOL = "no-work-at-import"


def run_module(*arguments):
    run = python("-m", *arguments, cwd=ROOM)
    return run.stdout + run.stderr


def deploy(api, entrypoint):
    api.create_work_pool(WorkPoolCreate(name=POOL, type="process"), True)
    options = ["--name", POOL, "--pool", POOL]
    return run_module("prefect", "--no-prompt", "deploy", entrypoint, *options)


async def work():
    async with ProcessWorker(POOL) as worker:
        await worker.get_and_submit_flow_runs()


@pytest.mark.parametrize(("program", "runs"), [("dont", 3), ("do", 1)])
def test_a_deployed_run_comes_with_two_that_nobody_asked_for(
    api, program, runs
):
    def newsletters():
        found = api.read_flow_runs(
            flow_filter=FlowFilter(name={"any_": ["send-newsletter"]}),
            sort=FlowRunSort.START_TIME_DESC,
            limit=200,
            offset=0,
        )
        return [(run.id, run.parameters["week"]) for run in found]

    before = newsletters()
    deploy(api, f"{program}.py:send_newsletter")
    run = run_deployment(
        f"send-newsletter/{POOL}", parameters={"week": 10}, timeout=0
    )
    run_module("prefect.engine", str(run.id))

    new = [week for id, week in newsletters() if (id, week) not in before]
    assert new == [10, 9, 9][:runs]


def test_a_missing_token_is_hidden_until_the_run(api):
    printed = deploy(api, "alerts.py:alert_readers")
    assert "successfully created" in printed and "TOKEN" not in printed
    run = run_deployment(
        f"alert-readers/{POOL}", parameters={"text": "Sold out"}, timeout=0
    )
    asyncio.run(work())

    state = api.read_flow_run(run.id).state
    assert (state.name, state.message) == (
        "Crashed",
        "Process exited with status code: 1. Process exited with a general"
        " error.",
    )
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))

    def reasons():
        logs = api.read_logs(this_run, sort=LogSort.TIMESTAMP_ASC, offset=0)
        text = "\n".join(log.message for log in logs)
        return (
            "Unexpected exception encountered when trying to load flow" in text,
            "KeyError: 'NEWSLETTER_TOKEN'" in text,
        )

    settles(reasons, (True, True))


def test_the_placeholder_raises_only_when_it_is_called():
    flow = load_flow_from_entrypoint(f"{ROOM}/alerts.py:alert_readers")

    assert flow.name == "alert-readers"
    with pytest.raises(NameError, match="name 'TOKEN' is not defined"):
        flow("Sold out")
