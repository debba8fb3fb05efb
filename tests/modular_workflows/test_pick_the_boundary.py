import os
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from inspect import signature
from threading import Barrier, Thread, current_thread
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from prefect import flow, task
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.deployments import run_deployment
from prefect.exceptions import MissingResult
from prefect.runner import Runner
from prefect.states import Cancelled, Completed

from tests.backend import patient
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


def test_a_failed_deployment_run_leaves_its_caller_completed(
    dont, api, monkeypatch, capsys
):
    """`Failed` is a final state too.

    So the call returns normally, with the run, and the report is sent. The
    exception was raised in another process and stays there.
    """
    runner = Mock(wraps=dont.worker.Runner)
    monkeypatch.setattr(dont.worker, "Runner", runner)
    with dont.worker.serve(dont.load_orders, name="pick-the-boundary"):
        state = dont.nightly(WITHOUT, return_state=True)
        (child,) = children(api, state)  # before its runner stops
    runner.assert_called_once_with(query_seconds=1)

    assert state.is_completed()
    assert child.state_name == "Failed"
    assert f"Report for {WITHOUT} sent" in capsys.readouterr().out


def test_a_failed_subflow_fails_its_caller(do, api, capsys):
    """To run one flow in another, call it: then its exception reaches the
    caller.
    """
    state = do.nightly(WITHOUT, return_state=True)

    (child,) = children(api, state)
    assert child.state_name == "Failed"
    assert state.is_failed()
    assert "ValueError: no orders for 2026-03-03" in state.message
    assert "sent" not in capsys.readouterr().out
    assert do.nightly(WITH_ORDERS, return_state=True).is_completed()
    assert f"Report for {WITH_ORDERS} sent" in capsys.readouterr().out


@pytest.fixture
def served_by_nobody(dont, api):
    deployment = Runner().add_flow(dont.load_orders, name="served-by-nobody")
    yield deployment
    api.delete_deployment(deployment)


def test_a_run_that_nobody_starts_is_awaited_until_it_is_cancelled(
    served_by_nobody, api, monkeypatch
):
    """`run_deployment` creates a flow run on the server and asks for its state
    until that state is final.

    If no process serves the deployment, the run stays `Scheduled`, and
    `run_deployment` waits until somebody cancels it.
    """
    ended, found, pauses = [], [], []
    name = str(served_by_nobody)
    pause = time.sleep

    def wait_for_a_run():
        run = run_deployment(
            served_by_nobody,
            parameters={"day": WITH_ORDERS},
            poll_interval=0.1,
            flow_run_name=name,
        )
        ended.append(run.state_name)

    def count_pauses(seconds):
        if current_thread() is waiting:
            pauses.append(seconds)
        pause(seconds)

    def state_names():
        found[:] = api.read_flow_runs(
            flow_run_filter=FlowRunFilter(name={"any_": [name]})
        )
        return [run.state_name for run in found]

    monkeypatch.setattr(time, "sleep", count_pauses)
    waiting = Thread(target=wait_for_a_run)
    waiting.start()
    settles(lambda: len(pauses) > 5, True)
    assert (ended, state_names()) == ([], ["Scheduled"])
    api.set_flow_run_state(found[0].id, Cancelled(), force=True)
    waiting.join(patient(30))
    assert ended == ["Cancelled"]


def test_a_caller_whose_timeout_is_over_gets_a_run_that_has_not_ended(
    served_by_nobody, monkeypatch
):
    """With `timeout=` it returns after that time a run that may still be
    `Scheduled`, again without an exception.

    It looks at the clock only when it asks, by default every 5 seconds, so
    give a smaller `poll_interval=` for a shorter timeout.
    """
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    run = run_deployment(
        served_by_nobody, parameters={"day": WITH_ORDERS}, timeout=0.2
    )

    assert run.state_name == "Scheduled"
    assert set(pauses) == {5}


def test_a_caller_that_checks_the_state_fails_too(dont, api, monkeypatch):
    """Then read its state:"""
    check_state = import_module("check_state")
    load_orders = check_state.load_orders
    with check_state.worker.serve(load_orders, name="pick-the-boundary"):
        state = check_state.nightly(WITHOUT, return_state=True)

    (child,) = children(api, state)
    assert child.parameters == {"day": WITHOUT}
    assert state.is_failed()
    assert "RuntimeError: load_orders is Failed" in state.message

    good = Mock(return_value=SimpleNamespace(state=Completed()))
    monkeypatch.setattr(check_state, "run_deployment", good)
    assert check_state.nightly(WITH_ORDERS, return_state=True).is_completed()
    asked = {"parameters": {"day": WITH_ORDERS}, "poll_interval": 1}
    assert good.call_args.kwargs == asked
    assert check_state.load_orders.fn(WITH_ORDERS) == 20.5


def test_the_value_of_a_run_is_gone_unless_it_is_persisted(do, api):
    """`run.state.result()` raises after a failure too.

    But after a success it raises `MissingResult`, unless the flow has
    `persist_result=True`.
    """

    def value_that_another_process_gets(load_orders, day=WITH_ORDERS):
        state = load_orders(day, return_state=True)
        run = api.read_flow_run(state.state_details.flow_run_id)
        return run.state.result()

    with pytest.raises(ValueError, match="no orders for 2026-03-03"):
        value_that_another_process_gets(do.load_orders, WITHOUT)

    with pytest.raises(MissingResult) as error:
        value_that_another_process_gets(do.load_orders)
    assert str(error.value) == (
        "State data is missing. Typically, this occurs when result persistence"
        " is disabled and the state has been retrieved from the API."
    )

    persisted = do.load_orders.with_options(persist_result=True)
    assert value_that_another_process_gets(persisted) == 20.5


def load_orders(day):
    if day != WITH_ORDERS:
        raise ValueError(os.getpid())
    return 20.5


def as_deployment(day):
    when = datetime.now(UTC)
    good = day == WITH_ORDERS  # one run is enough, this one may wait
    return run_deployment(
        "load-orders/boundaries",
        parameters={"day": day},
        scheduled_time=when + timedelta(days=1) if good else when,
        timeout=0 if good else None,
        poll_interval=1,
    )


def test_the_boundaries_differ_in_what_is_recorded_and_returned(
    dont, api, table
):
    """A function, a task, a subflow and a deployment run differ in what Prefect
    records and in how a failure reaches you.

    A subflow and a deployment run also get a task run in the flow run that
    started them, which stands for them there.
    """
    as_task = task(retries=1)(load_orders)
    as_flow = flow(retries=1)(load_orders)
    logic = "logic"
    step = "a step worth a retry or a line in the record"
    group = "a group of steps with a name and checked parameters"
    elsewhere = "another machine, image, schedule or team"

    @flow(validate_parameters=False)
    def nightly(call):
        value = call(WITH_ORDERS)
        try:
            run = call(WITHOUT)
        except ValueError as error:
            return value, "an exception", error.args[0]
        assert run.state_name == "Failed"
        process = int(run.state.message.split()[-1])
        return value, "**a state that you must read**", process

    def column(call, decorator, count, advice):
        state = nightly(call, return_state=True)
        settles(lambda: len(task_runs(api, state)), count)
        flow_runs = children(api, state)
        run_counts = [run.run_count for run in flow_runs]
        run_counts += [count for *_, count in task_runs(api, state)]
        recorded = "a task run" if run_counts else "nothing"
        value, failure, process = state.result()
        mine = process == os.getpid()
        cache = decorator and "cache_policy" in signature(decorator).parameters
        return [
            "a flow run" if flow_runs else recorded,
            "in your process" if mine else "in another process",
            failure,
            "the value" if value == 20.5 else "the run",
            "yes" if 2 in run_counts else "no",
            "yes" if cache else "no",
            advice,
        ]

    with dont.worker.serve(as_flow, name="boundaries"):
        columns = [
            column(load_orders, None, 0, logic),
            column(as_task, task, 2, step),
            column(as_flow, flow, 2, group),
            column(as_deployment, flow, 2, elsewhere),
        ]
    what_differs = [
        "Prefect records",
        "It runs",
        "A failure is",
        "You get",
        "Retry",
        "Cache",
        "Choose it for (advice)",
    ]
    head = ["What differs", "Function", "Task", "Subflow", "Deployment run"]
    rows = zip(what_differs, *columns, strict=True)
    table("boundaries.md", head, [list(row) for row in rows])


def test_tasks_functions_and_subflows_run_many_at_a_time():
    """Tasks run at the same time if you `submit` them.

    To run functions or subflows at the same time, call each in a task that you
    submit.
    """
    meet = Barrier(2, timeout=patient(30))

    def function():
        return meet.wait()

    @flow
    def subflow():
        return meet.wait()

    @task
    def in_a_task(call):
        return call()

    @flow
    def load_twice(a_task, *arguments):
        futures = [a_task.submit(*arguments) for _ in range(2)]
        return sorted(future.result() for future in futures)

    assert load_twice(task(function)) == [0, 1]
    assert load_twice(in_a_task, function) == [0, 1]
    assert load_twice(in_a_task, subflow) == [0, 1]


def test_a_timeout_of_zero_waits_for_nothing(served_by_nobody):
    """With `timeout=0`, `run_deployment` returns at once, so you can start many
    runs in a row.
    """
    parameters = {"day": WITH_ORDERS}
    runs = [
        run_deployment(served_by_nobody, parameters=parameters, timeout=0)
        for _ in range(3)
    ]
    assert [run.state_name for run in runs] == ["Scheduled"] * 3
    assert len({run.id for run in runs}) == 3
