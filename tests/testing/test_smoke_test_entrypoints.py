import asyncio
import sys
from types import ModuleType

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.exceptions import MissingFlowError, ScriptError
from prefect.workers.process import ProcessWorker

from tests.observe import log_messages, settles
from tests.programs import python

# The programs load the flows in order_flow.py and stock_flow.py.
POOL = "smoke-test-entrypoints"


def test_the_default_load_hides_a_missing_module(dont):
    flow = dont.load("stock_flow.py:load_stock")
    assert list(flow.parameters.properties) == ["day"]

    state = flow(return_state=True)
    assert state.message.endswith(
        "NameError: name 'warehouse_client' is not defined"
    )


def test_prefect_deploy_succeeds_and_the_flow_run_crashes(dont, api):
    api.create_work_pool(WorkPoolCreate(name=POOL, type="process"), True)
    deploy = ["deploy", dont.ENTRYPOINTS[1], "--name=smoke", f"--pool={POOL}"]
    command = ("-m", "prefect", "--no-prompt", *deploy)
    deployed = python(*command, cwd=dont.HERE)
    assert deployed.returncode == 0, deployed.stderr
    run = run_deployment("load-stock/smoke", timeout=0)
    asyncio.run(ProcessWorker(POOL).start(run_once=True))

    state = api.read_flow_run(run.id).state
    assert state.is_crashed()
    assert state.message == (
        "Process exited with status code: 1. Process exited with a general"
        " error."
    )
    missing = "ModuleNotFoundError(\"No module named 'warehouse_client'\")"
    settles(
        lambda: any(missing in log for log in log_messages(api, state)), True
    )


def test_the_strict_load_finds_the_missing_module(do):
    assert do.load("order_flow.py:load_orders").name == "load-orders"
    with pytest.raises(ScriptError) as error:
        do.load("stock_flow.py:load_stock")
    assert (
        "encountered an exception:"
        " ModuleNotFoundError(\"No module named 'warehouse_client'\")"
    ) in str(error.value)


def test_the_strict_load_passes_where_the_module_is_installed(do, monkeypatch):
    installed = ModuleType("warehouse_client")
    monkeypatch.setitem(sys.modules, "warehouse_client", installed)
    assert do.load("stock_flow.py:load_stock").name == "load-stock"


def test_both_loads_find_a_renamed_flow(dont, do):
    for program in (dont, do):
        with pytest.raises(MissingFlowError, match="'read_orders' not found"):
            program.load("order_flow.py:read_orders")
