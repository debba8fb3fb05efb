import pytest
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

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
