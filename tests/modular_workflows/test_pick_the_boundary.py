from importlib import import_module

import pytest
from prefect import flow, task
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.deployments import run_deployment
from prefect.exceptions import MissingResult
from prefect.runner import Runner

from tests.observe import settles, task_runs

# worker.py runs what is scheduled, each flow run in a process of its own.
WITH_ORDERS, WITHOUT = "2026-03-02", "2026-03-03"


def children(api, state):
    parent = [state.state_details.flow_run_id]
    return api.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parent)
        )
    )


def test_a_failed_deployment_run_leaves_its_caller_completed(dont, api):
    with dont.worker.serve(dont.load_orders, name="pick-the-boundary"):
        state = dont.nightly(WITHOUT, return_state=True)

    (child,) = children(api, state)
    assert state.is_completed()
    assert child.state_name == "Failed"


def test_a_failed_subflow_fails_its_caller(do, api):
    state = do.nightly(WITHOUT, return_state=True)

    (child,) = children(api, state)
    assert child.state_name == "Failed"
    assert state.is_failed()
    assert "ValueError: no orders for 2026-03-03" in state.message


def test_a_caller_that_checks_the_state_fails_too(dont):
    check_state = import_module("check_state")
    load_orders = check_state.load_orders
    with check_state.worker.serve(load_orders, name="pick-the-boundary"):
        state = check_state.nightly(WITHOUT, return_state=True)

    assert state.is_failed()
    assert "RuntimeError: load_orders is Failed" in state.message


def test_a_caller_whose_timeout_is_over_gets_a_run_that_has_not_ended(dont):
    deployment = Runner().add_flow(dont.load_orders, name="served-by-nobody")

    @flow
    def nightly(day):
        return run_deployment(
            deployment,
            parameters={"day": day},
            timeout=0.1,
            poll_interval=0.1,
        ).state_name

    assert nightly(WITH_ORDERS) == "Scheduled"


def test_the_value_of_a_run_is_gone_unless_it_is_persisted(do, api):
    def value_that_another_process_gets(load_orders):
        state = load_orders(WITH_ORDERS, return_state=True)
        run = api.read_flow_run(state.state_details.flow_run_id)
        return run.state.result()

    with pytest.raises(MissingResult) as error:
        value_that_another_process_gets(do.load_orders)
    assert str(error.value) == (
        "State data is missing. Typically, this occurs when result persistence"
        " is disabled and the state has been retrieved from the API."
    )

    persisted = do.load_orders.with_options(persist_result=True)
    assert value_that_another_process_gets(persisted) == 20.5


def as_deployment(load_orders):
    deployment = Runner().add_flow(load_orders, name="served-by-nobody")
    return lambda day: run_deployment(
        deployment, parameters={"day": day}, timeout=0
    )


@pytest.mark.parametrize(
    ("boundary", "recorded_task_runs", "recorded_flow_runs"),
    [
        (lambda load_orders: load_orders.fn, 0, 0),
        (lambda load_orders: task(load_orders.fn), 1, 0),
        (lambda load_orders: load_orders, 1, 1),
        (as_deployment, 1, 1),
    ],
    ids=["function", "task", "subflow", "deployment"],
)
def test_what_each_boundary_leaves_in_the_record(
    do, api, boundary, recorded_task_runs, recorded_flow_runs
):
    load_orders = boundary(do.load_orders)

    @flow
    def nightly():
        load_orders(WITH_ORDERS)

    state = nightly(return_state=True)

    settles(lambda: len(task_runs(api, state)), recorded_task_runs)
    assert len(children(api, state)) == recorded_flow_runs
