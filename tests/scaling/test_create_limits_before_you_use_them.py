from threading import Barrier
from time import sleep

import pytest
from prefect import flow, task
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
)
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.states import Pending
from prefect.task_runners import ThreadPoolTaskRunner

from tests.backend import patient
from tests.observe import log_messages, settles, task_runs


def test_without_the_limit_the_two_loads_write_at_the_same_time(dont, api):
    state = dont.nightly_load(return_state=True)

    assert state.is_completed()
    assert dont.table == ["order-1", "order-2"] * 2
    warning = (
        "Concurrency limits ['orders-table'] do not exist"
        " - skipping acquisition."
    )
    settles(lambda: log_messages(api, state).count(warning), 2)
    settles(lambda: task_runs(api, state), [("manual_load", "Completed", 1)])


def test_with_the_limit_the_second_load_is_refused(do, api):
    do.create_limit()
    state = do.nightly_load(return_state=True)

    assert do.table == ["order-1", "order-2"]
    settles(lambda: task_runs(api, state), [("manual_load", "Failed", 1)])


def test_strict_refuses_a_limit_that_does_not_exist():
    with (
        pytest.raises(ConcurrencySlotAcquisitionError) as refused,
        concurrency("orders-table", strict=True),
    ):
        pytest.fail("the load began")

    assert str(refused.value) == (
        "Concurrency limits ['orders-table'] must be created"
        " before acquiring slots"
    )


def test_strict_is_content_with_one_limit_of_two(do, api):
    do.create_limit()
    with concurrency(["orders-load", "orders-table"], strict=True):
        limit = api.read_global_concurrency_limit_by_name("orders-load")
        assert limit.active_slots == 1


def test_strict_is_content_with_a_limit_that_is_switched_off(api):
    name = "orders-load-off"
    api.upsert_global_concurrency_limit_by_name(name, limit=1)
    api.update_global_concurrency_limit(
        name, GlobalConcurrencyLimitUpdate(active=False)
    )
    with concurrency(name, strict=True), concurrency(name, strict=True):
        limit = api.read_global_concurrency_limit_by_name(name)
        assert limit.active_slots == 0


class Warehouse:
    """Knows how many task runs use it at the same time, at the most."""

    def __init__(self, expected: int):
        self.inside, self.peak = 0, 0
        self.meeting = Barrier(expected)

    def load(self, day: int) -> None:
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        self.meeting.wait(patient(30))
        sleep(0.2)
        self.inside -= 1


@pytest.mark.parametrize(
    ("tags", "runner", "peak"),
    [
        ([], ThreadPoolTaskRunner(max_workers=3), 3),
        ([], ThreadPoolTaskRunner(max_workers=1), 1),
        (["orders-db"], ThreadPoolTaskRunner(max_workers=3), 1),
    ],
    ids=["no limit", "max_workers", "tag"],
)
def test_a_tag_and_a_small_runner_bound_task_runs(api, tags, runner, peak):
    api.create_concurrency_limit("orders-db", 1)
    warehouse = Warehouse(peak)
    load = task(warehouse.load, tags=tags)

    @flow(task_runner=runner)
    def load_days() -> None:
        load.map([1, 2, 3]).result()

    load_days()
    assert warehouse.peak == peak


@pytest.fixture
def pool(api):
    pool = WorkPoolCreate(name="one-load", type="process", concurrency_limit=1)
    yield api.create_work_pool(pool)
    api.delete_work_pool(pool.name)


def test_a_pool_gives_out_no_more_runs_than_its_limit(api, do, pool):
    load = api.create_deployment(
        api.create_flow(do.nightly_load), name="one", work_pool_name=pool.name
    )
    first, _ = [api.create_flow_run_from_deployment(load) for _ in range(2)]

    assert len(api.get_scheduled_flow_runs_for_work_pool(pool.name)) == 1
    api.set_flow_run_state(first.id, Pending())
    assert api.get_scheduled_flow_runs_for_work_pool(pool.name) == []
    api.delete_deployment(load)
