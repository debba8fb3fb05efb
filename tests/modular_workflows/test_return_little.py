import asyncio
import gc
from types import SimpleNamespace
from weakref import WeakSet

import pytest
from prefect import flow, task
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.results import ResultStore
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.workers.process import ProcessWorker

from tests.observe import settles, task_runs

POOL = "return-little"
# The kernel ends what takes more memory than there is. Here each export looks
# if 150 MB more are in use than in the beginning, and then does the same.
SCARCE = """
import os
import sys
from pathlib import Path

sys.path.insert(0, {room!r})
import {side} as program


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def export_orders(day):
    orders = b"x" * 10_000_000
    if megabytes() > start + 150:
        os.kill(os.getpid(), 9)
    return orders


start = megabytes()
program.export_orders = export_orders
measure_month = program.measure_month
"""


class Table:
    """Data that can be counted while it is in memory."""

    def __len__(self):
        return 1000


def alive(tables):
    gc.collect()
    return len(tables)


@pytest.fixture
def counted(monkeypatch):
    """Run a program, and count the exports in memory, at its end and most."""

    def run(program):
        exports, peak, end = WeakSet(), [], []

        def export_orders(day):
            table = Table()
            exports.add(table)
            peak.append(len(exports))
            return table

        def get_traced_memory():
            end.append(alive(exports))
            return 0, 0

        monkeypatch.setattr(program, "export_orders", export_orders)
        traced = SimpleNamespace(get_traced_memory=get_traced_memory)
        monkeypatch.setattr(program, "tracemalloc", traced)
        state = program.measure_month(return_state=True)
        assert state.is_completed()
        return state, len(peak), max(peak), *end

    return run


def test_futures_keep_all_results_in_memory(dont, api, counted):
    """A future keeps the result of its task until you let go of it, so tasks
    that return data fill the memory of the flow's process.

    The future keeps the result after you have read it too, and the list keeps
    the futures. So all 30 exports are in memory at the same time.
    """
    state, exports, most, at_the_end = counted(dont)

    assert (exports, most, at_the_end) == (30, 30, 30)
    settles(lambda: task_runs(api, state), [("export", "Completed", 1)] * 30)


def test_what_a_task_does_not_return_is_gone_when_it_ends(do, api, counted):
    """What a task does not return goes when its function ends. Two threads work
    here, so there are at most two exports in memory.
    """
    assert do.measure_month.task_runner == ThreadPoolTaskRunner(max_workers=2)
    state, exports, most, at_the_end = counted(do)

    assert (exports, at_the_end) == (30, 0)
    assert most <= 2
    ended = [("measure_export", "Completed", 1)] * 30
    settles(lambda: task_runs(api, state), ended)


def test_too_little_memory_kills_the_run_that_returns_much(
    request, api, tmp_path
):
    """When no memory is left, the operating system kills the process. The
    worker says so, and the flow run is `Crashed`. In the same memory `do.py`
    completes.
    """
    room = request.path.parents[2] / "snippets/modular_workflows/return_little"
    api.create_work_pool(WorkPoolCreate(name=POOL, type="process"), True)
    deployments, runs = [], []
    try:
        for side in ("dont", "do"):
            program = tmp_path / f"{side}_run.py"
            program.write_text(SCARCE.format(room=str(room), side=side))
            source = flow.from_source(
                str(tmp_path), f"{program.name}:measure_month"
            )
            deployments.append(
                source.deploy(
                    f"{POOL}-{side}",
                    work_pool_name=POOL,
                    print_next_steps=False,
                )
            )
            runs.append(run_deployment(deployments[-1], timeout=0).id)
        asyncio.run(ProcessWorker(POOL).start(run_once=True))
    finally:
        for deployment in deployments:
            api.delete_deployment(deployment)
        api.delete_work_pool(POOL)

    killed, completed = (api.read_flow_run(run).state for run in runs)
    assert killed.name == "Crashed"
    assert killed.message == (
        "Process exited with status code: -9. Process exited due to a SIGKILL"
        " signal. Typically caused by the operating system terminating the"
        " process for exceeding memory limits, or by manual cancellation."
    )
    assert completed.name == "Completed"


def test_what_you_keep_and_what_is_persisted_stays(table):
    """This is what stays in memory when five tasks have made a table each:

    A flow run keeps up to 1000 persisted results in memory, besides the files.
    `cache_result_in_memory=False` switches that off, but a future still keeps
    its result.

    The exception of a failed task keeps the variables of its function.
    """
    tables, kept = {}, []

    def counted_task(name, fails, **options):
        tables[name] = WeakSet()

        @task(**options)
        def load(day):
            table = Table()
            tables[name].add(table)
            if fails:
                raise ValueError("no price")
            return table

        return load

    def futures(load, days):
        kept.append(load.map(days))
        kept[-1].wait()

    def states(load, days):
        kept.append([load(day, return_state=True) for day in days])

    def one_by_one(load, days):
        for day in days:
            load.submit(day).result()

    def called(load, days):
        for day in days:
            load(day)

    stored = {"persist_result": True}
    in_files = {**stored, "cache_result_in_memory": False}
    both = "`persist_result=True` and `cache_result_in_memory=False`"
    listed = "loads = load.map(days)"
    states_listed = "states = [load(day, return_state=True) for day in days]"
    each = "for day in days: load(day)"
    each_submitted = "for day in days: load.submit(day).result()"
    expected = {
        f"`{listed}`": (5, futures, False, {}),
        f"`{listed}`, and each of them fails": (5, futures, True, {}),
        f"`{states_listed}`": (5, states, False, {}),
        f"`{each_submitted}`": (0, one_by_one, False, {}),
        f"`{each}`": (0, called, False, {}),
        f"`{each}`, with `persist_result=True`": (5, called, False, stored),
        f"`{each}`, with {both}": (0, called, False, in_files),
        f"`{listed}`, with {both}": (5, futures, False, in_files),
    }

    @flow
    def load_days():
        for name, (_, way, fails, options) in expected.items():
            days = [f"{name} {day}" for day in range(5)]  # not cached yet
            way(counted_task(name, fails, **options), days)
        # The last ones go a moment later, when their states have been sent.
        settles(
            lambda: {name: alive(found) for name, found in tables.items()},
            {name: count for name, (count, *_) in expected.items()},
        )

    load_days()
    assert ResultStore().cache.maxsize == 1000
    rows = [[name, f"{count}"] for name, (count, *_) in expected.items()]
    table("kept.md", ["In the flow", "Tables in memory"], rows)
