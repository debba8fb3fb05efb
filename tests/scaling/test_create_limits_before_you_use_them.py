import asyncio
import time
from contextlib import ExitStack
from threading import Barrier

import httpx
import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitUpdate,
    WorkPoolCreate,
)
from prefect.concurrency import _leases
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Pending
from prefect.task_runners import ThreadPoolTaskRunner

from tests.backend import patient
from tests.observe import log_messages, settles, task_runs
from tests.programs import python


@pytest.fixture
def limit(do, api):
    do.create_limit()
    yield "orders-load"
    do.delete_limit()


def active_slots(api, name):
    return api.read_global_concurrency_limit_by_name(name).active_slots


def test_without_the_limit_the_two_loads_write_at_the_same_time(dont, api):
    """A concurrency limit that nobody created limits nothing: Prefect logs a
    warning and lets every run in.

    If the server knows none of them, Prefect logs a warning and runs the block.
    It does not create the limit: nothing says how large it should be.

    Here the manual load writes between the two steps of the nightly load, so
    every order is in the table twice.
    """
    state = dont.nightly_load(return_state=True)

    assert state.is_completed()
    assert dont.table == ["order-1", "order-2"] * 2
    warning = (
        "Concurrency limits ['orders-table'] do not exist"
        " - skipping acquisition."
    )
    settles(lambda: log_messages(api, state).count(warning), 2)
    settles(lambda: task_runs(api, state), [("manual_load", "Completed", 1)])
    with pytest.raises(ObjectNotFound):
        api.read_global_concurrency_limit_by_name("orders-table")


def test_a_deleted_limit_ends_the_same_way(do, caplog):
    """`concurrency` asks the server for its limits by name.

    A misspelled name or a deleted limit ends the same way.
    """
    do.create_limit()
    do.delete_limit()
    for name in "orders-load", "order-loads":
        with concurrency(name):
            pass
        assert (
            f"Concurrency limits ['{name}'] do not exist"
            " - skipping acquisition." in caplog.text
        )


def test_with_the_limit_the_second_load_is_refused(do, api, limit):
    """The manual load is refused before it touches the table, because the
    nightly load has the only slot.
    """
    state = do.nightly_load(return_state=True)

    assert do.table == ["order-1", "order-2"]
    settles(lambda: task_runs(api, state), [("manual_load", "Failed", 1)])
    assert active_slots(api, limit) == 0


def test_without_max_retries_the_second_load_waits_for_the_first(limit):
    """Without `max_retries=0` it would wait for a free slot. In this program it
    would wait forever, because the nightly load waits for it inside of the
    block.
    """

    @task
    def wait_for_a_slot() -> None:
        with concurrency(limit, strict=True, timeout_seconds=1.5):
            pytest.fail("both loads are in the block")

    @flow
    def nightly_load() -> list[str]:
        with concurrency(limit, strict=True):
            waiting = wait_for_a_slot.submit()
            waiting.wait(timeout=1)
            seen = [waiting.state.name]
            waiting.wait()  # here its own timeout ends it
        return [*seen, waiting.state.name]

    assert nightly_load() == ["Running", "TimedOut"]


def test_strict_refuses_a_limit_that_does_not_exist(do, api):
    """`strict=True` turns a missing limit into an error before the block
    begins.
    """
    for load in do.nightly_load, do.manual_load.fn:
        with pytest.raises(ConcurrencySlotAcquisitionError) as refused:
            load()
        assert str(refused.value) == (
            "Concurrency limits ['orders-load'] must be created"
            " before acquiring slots"
        )
    assert do.table == []


def test_create_limit_can_run_again_and_the_command_cannot(
    do, api, limit, tmp_path
):
    """You can run it again: it creates the limit, or sets its size.

    In a shell, `prefect gcl create orders-load --limit 1` creates it once, and
    fails if it exists.
    """
    command = "prefect gcl create orders-load --limit 1"
    command = ["-m", *command.split()]
    assert python(*command, cwd=tmp_path).returncode == 1
    api.update_global_concurrency_limit(
        limit, GlobalConcurrencyLimitUpdate(limit=5)
    )
    do.create_limit()
    assert api.read_global_concurrency_limit_by_name(limit).limit == 1
    do.delete_limit()
    assert python(*command, cwd=tmp_path).returncode == 0
    assert api.read_global_concurrency_limit_by_name(limit).limit == 1


def test_strict_is_content_with_one_limit_of_two(api, limit):
    """Of several names, one that exists is enough."""
    with concurrency([limit, "orders-table"], strict=True):
        assert active_slots(api, limit) == 1


def test_strict_is_content_with_a_limit_that_is_switched_off(api, limit):
    """And a limit that is switched off counts as one that exists."""
    api.update_global_concurrency_limit(
        limit, GlobalConcurrencyLimitUpdate(active=False)
    )
    with concurrency(limit, strict=True), concurrency(limit, strict=True):
        assert active_slots(api, limit) == 0


@pytest.fixture
def lost_server(monkeypatch):
    """Let each renewal of a lease fail, at once."""

    def renew(self, lease_id, lease_duration) -> None:
        raise httpx.ConnectError("the server is away")

    monkeypatch.setattr(SyncPrefectClient, "renew_concurrency_lease", renew)
    monkeypatch.setattr(_leases, "_RENEWAL_RETRY_BASE_DELAY", 0.01)


def test_strict_stops_a_block_but_no_call_that_waits(limit, lost_server, api):
    """If Prefect cannot renew the lease of a strict block, it stops the block,
    and the flow run is `Crashed`.

    A call that waits, such as a query or `time.sleep`, is not interrupted: the
    block is stopped when the call returns.
    """
    seen = []

    @flow
    def nightly_load() -> None:
        seen.append(flow_run.id)
        with concurrency(limit, strict=True):
            began = time.monotonic()
            try:
                time.sleep(1)
            finally:
                seen.append(time.monotonic() - began)
            for _ in range(100):
                time.sleep(0.01)
            seen.append("the block ended")

    with pytest.raises(asyncio.CancelledError):
        nightly_load()
    run_id, slept = seen
    assert slept >= 1
    run = api.read_flow_run(run_id)
    assert run.state_name == "Crashed"
    lost = "Concurrency lease renewal failed - slots are no longer reserved."
    settles(lambda: lost in "".join(log_messages(api, run.state)), True)


def test_a_strict_block_may_go_on_without_its_lease(limit, lost_server, caplog):
    """Where the work must not end half done, add
    `raise_on_lease_renewal_failure=False`. Then Prefect only logs a warning,
    and the block goes on without the slot that it thinks it has.
    """
    with concurrency(limit, strict=True, raise_on_lease_renewal_failure=False):
        time.sleep(1)
    assert "Execution will continue" in caplog.text


class Warehouse:
    """Knows how many task runs use it at the same time, at the most."""

    def __init__(self, expected: int):
        self.inside, self.peak = 0, 0
        self.meeting = Barrier(expected)

    def load(self, day: int) -> None:
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        self.meeting.wait(patient(30))
        time.sleep(0.2)
        self.inside -= 1


def task_runs_at_once(expected: int, workers: int, *tags: str) -> int:
    warehouse = Warehouse(expected)
    load = task(warehouse.load, tags=tags)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
    def load_days() -> None:
        load.map([1, 2, 3]).result()

    load_days()
    return warehouse.peak


def blocks_at_once(name: str) -> int:
    with ExitStack() as blocks:
        for entered in range(3):
            try:
                blocks.enter_context(
                    concurrency(name, strict=True, max_retries=0)
                )
            except ConcurrencySlotAcquisitionError:
                return entered
    return 3


def calls_at_once(api, name: str) -> int:
    for made in range(3):
        try:
            api.increment_concurrency_slots([name], 1, mode="rate_limit")
        except httpx.HTTPStatusError:
            return made
    return 3


def runs_at_once(api, do, name: str, limits: dict[str, int]) -> int:
    """Of three runs that are due, how many may start."""
    pool = WorkPoolCreate(
        name=name, type="process", concurrency_limit=limits.get("pool")
    )
    api.create_work_pool(pool)
    try:
        api.create_work_queue(
            "one", work_pool_name=name, concurrency_limit=limits.get("queue")
        )
        deployment = do.nightly_load.to_deployment(
            name,
            work_pool_name=name,
            work_queue_name="one",
            concurrency_limit=limits.get("deployment"),
        ).apply()
        for _ in range(3):
            api.create_flow_run_from_deployment(deployment)
        due = api.get_scheduled_flow_runs_for_work_pool(name)
        asked = [
            api.set_flow_run_state(run.flow_run.id, Pending()) for run in due
        ]
        api.delete_deployment(deployment)
    finally:
        api.delete_work_pool(name)
    return sum(answer.state.is_pending() for answer in asked)


def test_each_limit_bounds_what_it_is_for(api, do, table, limit):
    """Not everything that you want to bound is a block of code:"""
    assert task_runs_at_once(3, 3) == 3
    assert runs_at_once(api, do, "no-limit", {}) == 3
    api.upsert_global_concurrency_limit_by_name(
        "orders-rate", limit=1, slot_decay_per_second=0.001
    )
    api.create_concurrency_limit("orders-db", 1)
    try:
        seen = {
            "a block of code, in all flows, on all machines"
            " | `concurrency` and a global limit": blocks_at_once(limit),
            "calls in a time, from all flows, on all machines"
            " | [`rate_limit`](respect-rate-limits.md) and a global limit with"
            " slot decay": calls_at_once(api, "orders-rate"),
            "task runs of one kind, in all flows | a tag on the task, and"
            " `prefect concurrency-limit create TAG 1`": task_runs_at_once(
                1, 3, "orders-db"
            ),
            "task runs of one flow run | `max_workers` of its"
            " [task runner](choose-a-task-runner.md)": task_runs_at_once(1, 1),
        } | {
            f"{what} | {use}": runs_at_once(api, do, f"one-{key}", {key: 1})
            for key, what, use in [
                (
                    "deployment",
                    "runs of one deployment",
                    "its [`concurrency_limit`](prevent-overlap.md)",
                ),
                (
                    "pool",
                    "runs of all deployments of a work pool",
                    "the `concurrency_limit` of the"
                    " [pool](route-work-with-pools.md)",
                ),
                (
                    "queue",
                    "runs of all deployments of a work queue",
                    "the `concurrency_limit` of the"
                    " [queue](route-work-with-pools.md)",
                ),
            ]
        }
    finally:
        api.delete_concurrency_limit_by_tag("orders-db")
        api.delete_global_concurrency_limit_by_name("orders-rate")
    table(
        "limits.md",
        ["You want to bound", "Use", "Of three at once, a limit of 1 lets in"],
        [[*row.split(" | "), str(count)] for row, count in seen.items()],
    )
