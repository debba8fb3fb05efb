from datetime import timedelta

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE, CachePolicy

from tests.observe import settles, task_runs

DAY = "2026-03-01"
CACHED = "Finished in state Cached(type=COMPLETED)"
NAMED = CachePolicy.from_cache_key_fn(lambda _, args: f"label-{args['day']}")


@flow
def in_a_flow(called_task):
    return called_task(DAY)


def test_inputs_alone_return_the_value_of_another_task(dont, api, caplog):
    state = dont.daily_report(DAY, return_state=True)

    assert state.result() == "sales 900, refunds 900, net 0"
    assert caplog.messages.count(CACHED) == 1
    settles(
        lambda: [run[:2] for run in task_runs(api, state)],
        [("sum_refunds", "Cached"), ("sum_sales", "Completed")],
    )


def test_with_its_source_in_the_key_a_task_finds_only_its_own_value(do, api):
    for expected in ("Completed", "Cached"):
        state = do.daily_report(DAY, return_state=True)

        assert state.result() == "sales 900, refunds 40, net 860"
        settles(
            lambda state=state: {n for _, n, _ in task_runs(api, state)},
            {expected},
        )


@pytest.mark.parametrize(
    ("policy", "value"),
    [(INPUTS, "old"), (NAMED, "old"), (INPUTS + TASK_SOURCE, "new")],
)
def test_an_edited_task_runs_again_only_if_its_source_is_in_the_key(
    policy, value
):
    @task(cache_policy=policy)
    def label(day):
        return "old"

    assert in_a_flow(label) == "old"

    @task(cache_policy=policy)
    def label(day):
        return "new"

    assert in_a_flow(label) == value


@pytest.mark.parametrize(
    ("options", "first_run", "second_run"),
    [
        ({}, ["Completed", "Completed"], ["Completed", "Completed"]),
        (
            {"cache_expiration": timedelta(days=1)},
            ["Completed", "Completed"],
            ["Completed", "Completed"],
        ),
        (
            {"persist_result": True},
            ["Completed", "Cached"],
            ["Completed", "Cached"],
        ),
        (
            {"cache_policy": INPUTS + TASK_SOURCE},
            ["Completed", "Cached"],
            ["Cached", "Cached"],
        ),
    ],
)
def test_only_a_policy_without_the_run_id_caches_across_flow_runs(
    options, first_run, second_run
):
    @task(**options)
    def add_up(day):
        return 900

    @flow
    def call_twice():
        return [add_up(DAY, return_state=True).name for _ in range(2)]

    assert call_twice() == first_run
    assert call_twice() == second_run


def test_new_data_and_functions_are_seen_after_a_refresh_or_an_expiration(do):
    do.daily_report(DAY)
    do.SALES[DAY].append(100)
    do.sum = len
    refreshed = do.sum_sales.with_options(refresh_cache=True)

    assert in_a_flow(do.sum_sales) == 900
    assert in_a_flow(refreshed) == 3
    assert in_a_flow(do.sum_sales) == 3

    expiring = refreshed.with_options(
        cache_expiration=timedelta(microseconds=1)
    )
    in_a_flow(expiring)
    do.SALES[DAY].append(100)

    assert in_a_flow(do.sum_sales) == 4
