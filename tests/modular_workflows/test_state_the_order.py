import inspect
import sqlite3
import sys
import time
from contextlib import closing, suppress
from functools import partial
from importlib import import_module
from threading import Event
from types import SimpleNamespace

import pytest
from prefect import allow_failure, flow, task
from prefect.cache_policies import INPUTS
from prefect.client.schemas.filters import TaskRunFilter
from prefect.deployments import run_deployment
from prefect.exceptions import UnfinishedRun
from prefect.states import Cancelled
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from tests.backend import patient
from tests.observe import settles, task_runs

ORDERS = ["order 1", "order 2", "order 3"]


@pytest.fixture
def until_loaded(monkeypatch):
    """Let a program's slow step wait for its load, and say if that came."""

    def patch(program, seconds):
        loaded, came = Event(), []
        hook = [lambda *_: loaded.set()]
        load = program.load.with_options(on_completion=hook)
        monkeypatch.setattr(program, "load", load)
        slow = SimpleNamespace(
            sleep=lambda _: came.append(loaded.wait(seconds))
        )
        monkeypatch.setattr(program, "time", slow)
        return came

    return patch


@task
def fail():
    raise ValueError("order 2 has no price")


@task
def note(done):
    done.append("noted")


def test_submitted_tasks_run_at_the_same_time(dont, api, until_loaded, capsys):
    """Tasks that you submit run at the same time, unless one gets the future of
    the other, so an order that only you know is not kept.

    `load` gets no value from `empty_table`, so Prefect does not know that one
    must come after the other, and the faster one is done first. Both tasks do
    their work, so the flow run and both task runs are `Completed`.
    """
    came = until_loaded(dont, patient(30))

    state = dont.refresh(ORDERS, return_state=True)

    assert came == [True]
    assert state.is_completed()
    assert dont.table == []
    assert "Removed 5 orders" in capsys.readouterr().out
    ended = [("empty_table", "Completed", 1), ("load", "Completed", 1)]
    settles(lambda: task_runs(api, state), ended)


def test_a_task_fails_where_it_needs_what_another_makes(tmp_path):
    """A task that cannot work without what the other one makes fails, but only
    if it is the faster one.
    """
    failed = Event()

    def execute(statement):
        with closing(sqlite3.connect(tmp_path / "orders.db")) as database:
            database.execute(statement)

    @task
    def create_table():
        assert failed.wait(patient(30))
        execute("CREATE TABLE orders (id)")

    @task(on_failure=[lambda *_: failed.set()])
    def load():
        execute("INSERT INTO orders VALUES (1)")

    @flow
    def fill():
        create_table.submit()
        load.submit().result()

    state = fill(return_state=True)

    assert "OperationalError: no such table: orders" in state.message


def test_wait_for_keeps_the_order(do, api, until_loaded, monkeypatch):
    """`wait_for` takes a list of futures. The task begins when all of them are
    done, with their retries, and gets no value from them.
    """
    came = until_loaded(do, 1)
    empty, tries = do.empty_table.fn, []

    @task(retries=1)
    def empty_table():
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        empty()

    monkeypatch.setattr(do, "empty_table", empty_table)
    state = do.refresh(ORDERS, return_state=True)

    assert came == [False]
    assert state.is_completed()
    assert do.table == ORDERS
    ended = [("empty_table", "Completed", 2), ("load", "Completed", 1)]
    settles(lambda: task_runs(api, state), ended)


def test_wait_for_orders_maps_and_flows_and_draws_an_arrow(api):
    """`map` and a flow that your flow calls take it too. In the graph of the
    flow run it is an arrow.

    `run_deployment` has no `wait_for`.
    """
    done = []

    @task
    def empty_table():
        time.sleep(0.5)
        done.append("emptied")

    @flow
    def count():
        done.append("counted")

    @flow
    def refresh():
        emptied = empty_table.submit()
        noted = note.map([done, done], wait_for=[emptied])
        count(wait_for=noted)

    state = refresh(return_state=True)

    assert done == ["emptied", "noted", "noted", "counted"]
    assert "wait_for" not in inspect.signature(run_deployment).parameters

    def parents():
        path = f"/flow_runs/{state.state_details.flow_run_id}/graph-v2"
        nodes = api._client.get(path).json()["nodes"]
        return sorted(
            (node["label"].split("-")[0], len(node["parents"]))
            for _, node in nodes
            if node["kind"] == "task-run"
        )

    settles(parents, [("empty_table", 0), ("note", 1), ("note", 1)])


def test_what_is_not_a_future_orders_nothing():
    """`wait_for=[empty_table]`, with the task and not its future, waits for
    nothing, and no error says so.
    """
    called, done = [], []

    @task
    def empty_table():
        called.append(1)

    @flow
    def refresh():
        note.submit(done, wait_for=[empty_table]).result()

    assert refresh(return_state=True).is_completed()
    assert (called, done) == ([], ["noted"])


def test_a_task_that_waits_holds_its_thread():
    """A task that waits holds a thread of the pool, so other tasks may have to
    wait for that thread.
    """
    done, free = [], []
    seen = Event()

    @task
    def empty_table():
        free.append(seen.wait(1))

    @task
    def other():
        seen.set()

    def refresh():
        emptied = empty_table.submit()
        waiting = note.submit(done, wait_for=[emptied])
        return [waiting, other.submit()]

    for threads in (2, 3):
        seen.clear()
        pool = ThreadPoolTaskRunner(max_workers=threads)
        assert flow(refresh, task_runner=pool)(return_state=True).is_completed()

    assert free == [False, True]
    assert done == ["noted", "noted"]


def test_a_clean_up_that_allows_failure_runs(do, api, monkeypatch, capsys):
    """If a task must also run after a failure, wrap the future in
    `allow_failure`:

    The clean-up runs, and the flow run is `Failed`, because the flow returns
    the future of what failed.
    """
    clean_up = import_module("clean_up")
    dropped, too_early = Event(), []
    hook = [lambda *_: dropped.set()]
    drop_staging = clean_up.drop_staging.with_options(on_completion=hook)

    @task
    def check_prices():
        too_early.append(dropped.wait(1))
        check()

    check = clean_up.check_prices.fn
    monkeypatch.setattr(clean_up, "drop_staging", drop_staging)
    monkeypatch.setattr(clean_up, "check_prices", check_prices)

    state = clean_up.publish_orders(return_state=True)

    assert too_early == [False]
    assert state.is_failed()
    assert capsys.readouterr().out == "Dropped 2 orders\n"
    assert clean_up.staging == []
    settles(
        lambda: task_runs(api, state),
        [
            ("check_prices", "Failed", 1),
            ("drop_staging", "Completed", 1),
            ("publish", "NotReady", 0),
        ],
    )


def stored_states(api, task_run):
    """The name of a task run's state, once the server has the task run."""
    only = TaskRunFilter(id={"any_": [task_run]})
    found = api.read_task_runs(task_run_filter=only)
    return [run.state_name for run in found]


def test_each_end_lets_other_tasks_run(api, table):
    """Whether a task runs depends on how the one before it ended:

    A crash or a cancellation is not a failure for `allow_failure`, so what must
    be cleaned up then too belongs in a `finally` of the flow.
    """

    @task
    def complete():
        pass

    @task(timeout_seconds=0.05)
    def time_out():
        for _ in range(1000):
            time.sleep(0.01)

    @task
    def cancel():
        return Cancelled()

    @task
    def crash():
        sys.exit(1)

    rows, ran = [], {}
    for name, how, before in (
        ("Completed", "it returns", complete.submit),
        ("Failed", "it raises", fail.submit),
        ("TimedOut", "its `timeout_seconds` are over", time_out.submit),
        ("NotReady", "it waited for a task that failed", after_a_failure),
        ("Crashed", "it calls `sys.exit`", crash.submit),
        ("Cancelled", "it returns `Cancelled()`", cancel.submit),
    ):
        task_run, plain, allowed, cleaned = ends(before)
        settles(partial(stored_states, api, task_run), [name])
        assert cleaned == ["in finally"]
        ran[name] = allowed
        yes = ["yes" if done else "**no**" for done in (plain, allowed)]
        rows.append([f"`{name}`: {how}", *yes])

    assert ran["Failed"] and ran["NotReady"]
    assert not ran["Crashed"] and not ran["Cancelled"]
    head = ["The task before", "Waits for it", "With `allow_failure`"]
    table("ends.md", head, rows)


def after_a_failure():
    return note.submit([], wait_for=[fail.submit()])


def ends(before):
    """Submit a task and two that wait for it, and say which of them ran."""
    plain, allowed, cleaned, runs = [], [], [], []

    @flow
    def run():
        first = before()
        runs.append(first.task_run_id)
        waiting = [
            note.submit(plain, wait_for=[first]),
            note.submit(allowed, wait_for=[allow_failure(first)]),
        ]
        try:
            first.result()
        finally:
            cleaned.append("in finally")
            for future in waiting:
                with suppress(SystemExit):
                    future.wait()

    with suppress(SystemExit):
        run(return_state=True)
    return runs[0], plain, allowed, cleaned


def test_processes_refuse_allow_failure_in_wait_for():
    """`ProcessPoolTaskRunner` refuses `allow_failure` in `wait_for`, with a
    `TypeError`. There, call the clean-up instead of submitting it: a task that
    is called runs in the process of the flow.
    """
    done = []

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def publish():
        with ThreadPoolTaskRunner() as threads:
            failed = threads.submit(fail, {})
            refused = note.submit(done, wait_for=[allow_failure(failed)])
            note(done, wait_for=[allow_failure(failed)])
            refused.result()

    state = publish(return_state=True)

    assert "TypeError: unhashable type: 'allow_failure'" in state.message
    assert done == ["noted"]


def test_the_result_of_a_task_that_did_not_run_is_not_there():
    """If one of them fails, the task does not run: its task run is `NotReady`,
    and `result` raises `UnfinishedRun`.
    """

    @flow
    def publish():
        note.submit([], wait_for=[fail.submit()]).result()

    with pytest.raises(UnfinishedRun) as error:
        publish()

    text = "Run is in PENDING state, its result is not available."
    assert str(error.value) == text


def test_an_argument_orders_too_and_is_a_part_of_the_cache_key():
    """A future that a task gets as an argument orders the two already. But do
    not invent an argument for the order alone: it becomes a part of the cache
    key.
    """
    done = []

    @task
    def empty_table(day):
        time.sleep(0.2)
        done.append(day)
        return day

    @task(cache_policy=INPUTS, persist_result=True)
    def load(orders, emptied=None):
        done.append("loaded")

    @flow
    def refresh(day, as_argument):
        emptied = empty_table.submit(day)
        if as_argument:
            load.submit(3, emptied).result()
        else:
            load.submit(3, wait_for=[emptied]).result()

    refresh("mon", True)
    refresh("tue", True)
    assert done == ["mon", "loaded", "tue", "loaded"]
    done.clear()
    refresh("mon", False)
    refresh("tue", False)
    assert done == ["mon", "loaded", "tue"]


def test_called_tasks_run_in_the_order_of_the_lines():
    """Tasks that you call, without `submit`, run one after the other, in the
    order of the lines.
    """
    done = []

    @task
    def empty_table():
        time.sleep(0.2)
        done.append("emptied")

    @flow
    def refresh():
        empty_table()
        note(done)

    refresh()
    assert done == ["emptied", "noted"]
