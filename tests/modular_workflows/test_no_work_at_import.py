# The flow in alerts.py needs a token that no test sets.
import asyncio
import math

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.deployments import run_deployment
from prefect.exceptions import ScriptError
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
    """Prefect imports your file to deploy a flow and again for each run, so
    work at the top of the file is done each time.

    An entrypoint such as `dont.py:send_newsletter` names a file and a flow
    in it. To get the flow, Prefect runs the whole file. `prefect deploy` does
    that once, and the process of each flow run does it again. A call at the top
    of the file is a real flow run each time, so one deploy and one run send
    three newsletters.

    Prefect imports the file under another name, so that block is not run.
    """

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
    """So if the file fails, `prefect deploy` takes what it can get: it runs the
    imports, assignments, functions and classes of the file one by one, passes
    over those that fail, and succeeds without a warning. A run loads the file
    strictly, so it crashes.
    """
    printed = deploy(api, "alerts.py:alert_readers")
    assert "successfully created" in printed and "TOKEN" not in printed
    assert "warn" not in printed.lower()
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


def test_a_deploy_takes_what_it_can_get(tmp_path):
    """So if the file fails, `prefect deploy` takes what it can get: it runs the
    imports, assignments, functions and classes of the file one by one, passes
    over those that fail, and succeeds without a warning.

    A parameter whose type could not be imported gets no type, so the server
    does not check it. A `with`, `if`, `for` or `try` at the top of the file is
    left out even if nothing in it fails, and a default that was set there
    becomes `None`.
    """
    imports = (
        "import math\nfrom prefect import flow\nfrom nowhere import Model\n"
    )
    kinds = "HALF = 0.5\ndef two(): return 2\nclass Three: DAYS = 3\n"
    blocks = (
        "with open(__file__): WITH = 1\nif True: IF = 1\nfor FOR in [1]: pass\n"
        "try: TRY = 1\nfinally: pass\n"
    )
    flow = (
        "@flow\ndef report(model: Model, day: int, a=math.pi, b=HALF, c=two(),"
        " d=Three.DAYS, e=WITH, f=IF, g=FOR, h=TRY): pass\n"
    )
    file = tmp_path / "report.py"
    file.write_text(imports + kinds + blocks + flow)

    loaded = load_flow_from_entrypoint(f"{file}:report")

    parameters = loaded.parameters.properties
    defaults = [parameters[name]["default"] for name in "abcdefgh"]
    assert defaults == [math.pi, 0.5, 2, 3, None, None, None, None]
    assert parameters["day"]["type"] == "integer"
    assert "type" not in parameters["model"]


def test_the_strict_load_finds_it():
    """Then a file that fails is found by a test and not by a run."""
    entrypoint = f"{ROOM}/alerts.py:alert_readers"
    assert load_flow_from_entrypoint(entrypoint).name == "alert-readers"

    with pytest.raises(ScriptError) as error:
        load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    assert repr(error.value.user_exc) == "KeyError('NEWSLETTER_TOKEN')"
