from datetime import timedelta

import pytest
from prefect import flow, task
from prefect.cache_policies import (
    DEFAULT,
    INPUTS,
    RUN_ID,
    TASK_SOURCE,
    CachePolicy,
)
from prefect.context import TaskRunContext
from prefect.runtime import flow_run

from tests.observe import settles, task_runs

DAY = "2026-03-01"
NEXT_DAY = "2026-03-02"
NAMED = CachePolicy.from_cache_key_fn(lambda _, args: f"label-{args['day']}")


@flow
def in_a_flow(called_task, *arguments):
    return called_task(*arguments)


def test_inputs_alone_return_the_value_of_another_task(
    dont, api, caplog, tmp_path
):
    """The key alone decides which stored value a task returns, so a key without
    the task's source can find the value of another task.

    A cache policy makes `task` store its result in a file, and the key is the
    name of the file. `INPUTS` makes the key from the arguments. Neither the
    task nor the flow is in it. Both tasks are called with `day="2026-03-01"`,
    so they have one key. `sum_sales` runs first and stores 900. `sum_refunds`
    finds 900 under its key.
    """
    state = dont.daily_report(DAY, return_state=True)

    assert state.result() == "sales 900, refunds 900, net 0"
    assert (
        caplog.messages.count("Finished in state Cached(type=COMPLETED)") == 1
    )
    settles(
        lambda: [run[:2] for run in task_runs(api, state)],
        [("sum_refunds", "Cached"), ("sum_sales", "Completed")],
    )
    assert in_a_flow(dont.sum_refunds, DAY) == 900

    (file,) = (tmp_path / "storage").iterdir()
    policy = dont.sum_sales.cache_policy
    assert file.name == policy.compute_key(None, {"day": DAY}, {})


def test_with_its_source_in_the_key_a_task_finds_its_own_value(do, dont, api):
    """Add `TASK_SOURCE`."""
    in_a_flow(dont.sum_refunds, DAY)  # leaves a value of another task
    for expected in ("Completed", "Cached"):
        state = do.daily_report(DAY, return_state=True)

        assert state.result() == "sales 900, refunds 40, net 860"
        settles(
            lambda state=state: {n for _, n, _ in task_runs(api, state)},
            {expected},
        )
    do.SALES[NEXT_DAY], do.REFUNDS[NEXT_DAY] = [100], [7]
    assert do.daily_report(NEXT_DAY) == "sales 100, refunds 7, net 93"


def test_the_name_and_the_decorator_are_in_the_source():
    """Now the key also depends on the source of the task, with its decorator
    and its name.
    """
    calls = []

    @task(cache_policy=INPUTS + TASK_SOURCE)
    def label(day):
        calls.append(day)

    @task(cache_policy=INPUTS + TASK_SOURCE)
    def tag(day):
        calls.append(day)

    in_a_flow(label, DAY), in_a_flow(tag, DAY), in_a_flow(label, DAY)

    @task(cache_policy=INPUTS + TASK_SOURCE, tags=["new"])
    def label(day):
        calls.append(day)

    in_a_flow(label, DAY)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("policy", "value"),
    [(INPUTS, "old"), (NAMED, "old"), (INPUTS + TASK_SOURCE, "new")],
)
def test_an_edited_task_runs_again_only_if_its_source_is_in_the_key(
    policy, value
):
    """An edited task has the same trouble. With `INPUTS` alone its key does not
    change, so you get the old value.

    With `TASK_SOURCE`, even a new comment in the task makes a new key. To keep
    a value that took hours, make the key yourself with
    `CachePolicy.from_cache_key_fn` and write the task's name into it.
    """
    answer = "old"

    @task(cache_policy=policy)
    def label(day):
        return answer

    assert in_a_flow(label, DAY) == "old"
    answer = "new"

    @task(cache_policy=policy)
    def label(day):
        # a new comment
        return answer

    assert in_a_flow(label, DAY) == value


@flow
def call_twice(add_up):
    return [add_up(DAY, return_state=True).name for _ in range(2)]


def test_only_a_policy_without_the_run_id_caches_across_flow_runs(table):
    """A plain task stores nothing, and `cache_expiration` alone does not change
    that. `persist_result=True` uses the default policy, `INPUTS + TASK_SOURCE +
    RUN_ID`. `RUN_ID` is the id of the flow run.
    """
    assert DEFAULT == INPUTS + TASK_SOURCE + RUN_ID
    policies = {
        "@task": {},
        "@task(cache_expiration=...)": {"cache_expiration": timedelta(days=1)},
        "@task(persist_result=True)": {"persist_result": True},
        "@task(cache_policy=INPUTS + TASK_SOURCE)": {
            "cache_policy": INPUTS + TASK_SOURCE
        },
    }
    rows = []
    for words, options in policies.items():

        @task(**options)
        def add_up(day):
            run_id = RUN_ID.compute_key(TaskRunContext.get(), {}, {})
            assert run_id == flow_run.id
            return 900

        first_run, second_run = call_twice(add_up), call_twice(add_up)
        seen = ["runs again", "cached"]
        rows.append(
            [
                f"`{words}`",
                *(seen[n == "Cached"] for n in (first_run[1], second_run[0])),
            ]
        )
    head = ["You write", "In the same flow run", "In the next flow run"]
    table("policies.md", head, rows)


def test_new_data_and_functions_are_seen_after_a_refresh_or_an_expiration(do):
    """The key does not see the data that a task reads, nor the functions that
    it calls: a later sale in `SALES` is not counted. Set `cache_expiration` to
    the age that you accept. To replace one stored value now, run the task once
    with `refresh_cache=True`.
    """
    do.daily_report(DAY)
    do.SALES[DAY].append(100)
    do.sum = len
    refreshed = do.sum_sales.with_options(refresh_cache=True)

    assert in_a_flow(do.sum_sales, DAY) == 900
    assert in_a_flow(refreshed, DAY) == 3
    assert in_a_flow(do.sum_sales, DAY) == 3

    expiring = refreshed.with_options(
        cache_expiration=timedelta(microseconds=1)
    )
    in_a_flow(expiring, DAY)
    do.SALES[DAY].append(100)

    assert in_a_flow(do.sum_sales, DAY) == 4


def test_two_tasks_with_the_same_source_share_a_key():
    """Two tasks with the same source and the same arguments still share a key,
    such as two that one function made. Give them what differs as an argument.
    """

    def made(factor):
        @task(cache_policy=INPUTS + TASK_SOURCE)
        def multiply(price, by=None):
            return price * factor

        return multiply

    assert in_a_flow(made(2), 10) == 20
    assert in_a_flow(made(3), 10) == 20
    assert in_a_flow(made(2), 10, 2) == 20
    assert in_a_flow(made(3), 10, 3) == 30


def test_a_cached_task_has_no_effect():
    """If you call a task for its effect, do not cache it across flow runs: a
    `Cached` task sends no mail.
    """
    mails = []

    @task(cache_policy=INPUTS + TASK_SOURCE)
    def send(day):
        mails.append(day)

    in_a_flow(send, DAY)
    in_a_flow(send, DAY)
    assert mails == [DAY]
