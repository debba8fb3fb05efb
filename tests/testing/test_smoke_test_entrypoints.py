import asyncio
import sys
from types import ModuleType

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.exceptions import MissingFlowError, ScriptError
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from tests.observe import log_messages, settles
from tests.programs import python

# The programs load the flows in order_flow.py and stock_flow.py.
POOL = "smoke-test-entrypoints"
MISSING = (
    "encountered an exception:"
    " ModuleNotFoundError(\"No module named 'warehouse_client'\")"
)


def test_the_default_load_hides_a_missing_module(dont):
    """So if the module raises, `load_flow_from_entrypoint` reads the source
    instead: it leaves out the imports that fail and builds a placeholder from
    what remains. The placeholder has the right name and the right parameters.
    If you call it, it fails with `NameError: name 'warehouse_client' is not
    defined`.
    """
    flow = dont.load("stock_flow.py:load_stock")
    assert flow.name == "load-stock"
    assert list(flow.parameters.properties) == ["day"]

    state = flow(return_state=True)
    assert state.message.endswith(
        "NameError: name 'warehouse_client' is not defined"
    )


def test_prefect_deploy_succeeds_and_the_flow_run_crashes(dont, api):
    """Prefect can deploy a flow whose module cannot be imported, so the missing
    package shows up only when a worker loads it.

    To deploy a flow, Prefect needs its name and its parameters, and not the
    packages that it works with.

    The process of a flow run accepts no placeholder. It imports the module, the
    import raises, and the process ends before the flow run is `Running`.

    The job that deploys may have other packages than the worker, and it need
    not run the flow.
    """
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
    states = {at.name for at in api.read_flow_run_states(run.id)}
    assert "Pending" in states and "Running" not in states
    settles(
        lambda: any(MISSING in log for log in log_messages(api, state)), True
    )
    api.delete_work_pool(POOL)
    api.delete_deployment(run.deployment_id)


def test_the_strict_load_finds_the_missing_module(do):
    """Switch the placeholder off. Then the check fails with the error that the
    flow run would have.
    """
    assert do.load("order_flow.py:load_orders").name == "load-orders"
    with pytest.raises(ScriptError) as error:
        do.load("stock_flow.py:load_stock")
    assert MISSING in str(error.value)


def test_the_strict_load_passes_where_the_module_is_installed(do, monkeypatch):
    """On a laptop where the package is installed it finds nothing."""
    installed = ModuleType("warehouse_client")
    monkeypatch.setitem(sys.modules, "warehouse_client", installed)
    assert do.load("stock_flow.py:load_stock").name == "load-stock"


def test_the_check_needs_no_server_and_finds_a_renamed_flow(do):
    """It needs no server, and it also finds an entrypoint whose flow was
    renamed.
    """
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:9/api"}
    with temporary_settings(nowhere):
        assert do.load("order_flow.py:load_orders").name == "load-orders"
        with pytest.raises(MissingFlowError, match="'read_orders' not found"):
            do.load("order_flow.py:read_orders")


def test_an_import_inside_the_task_passes_the_check(do, monkeypatch, tmp_path):
    """Import such a package inside the task that uses it. Then the check
    passes, but it no longer finds out whether the package is installed.
    """
    source = (do.HERE / "stock_flow.py").read_text()
    line = "import warehouse_client\n"
    body = source.replace(line, "").replace(
        "    return", f"    {line}    return"
    )
    (tmp_path / "stock_flow.py").write_text(body)
    monkeypatch.setattr(do, "HERE", tmp_path)
    flow = do.load("stock_flow.py:load_stock")
    with pytest.raises(ModuleNotFoundError, match="warehouse_client"):
        flow()
