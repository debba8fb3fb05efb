import importlib
import importlib.util
import os
import shutil
import sys
from contextlib import ExitStack

import pytest
from prefect import flow, get_run_logger, task
from prefect.settings import (
    PREFECT_API_KEY,
    get_current_settings,
    temporary_settings,
)
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_dask import DaskTaskRunner

from tests.observe import log_messages, settles, task_runs
from tests.programs import beside

DAYS = [f"2026-03-{day:02}" for day in range(1, 7)]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The cluster of the examples, for all tests.

    Its processes are forks, so they need not import Prefect first. Its workers
    know of another API. A task that has lost two workers is given up: by
    default, four.
    """
    room = tmp_path_factory.mktemp("cluster") / "room"
    shutil.copytree("snippets/scaling/go_beyond_one_machine", room)
    file = room / "cluster.py"
    spec = importlib.util.spec_from_file_location("cluster", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = {
        "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    }
    with ExitStack() as stack:

        def dask(*arguments):
            arguments = ("-m", "dask", *arguments, "--no-dashboard")
            process = beside(*arguments, cwd=room, **settings)
            module.processes.append(stack.enter_context(process))

        module.dask = dask
        module.scheduler = stack.enter_context(module.cluster())
        yield module


@pytest.fixture
def cluster(running, monkeypatch):
    """The same, with a worker that is alive, as the programs import it."""
    if not running.processes[-1].is_alive():
        running.add_worker(running.scheduler)
    monkeypatch.setitem(sys.modules, "cluster", running)
    return running


@pytest.fixture
def on_dask(cluster):
    return DaskTaskRunner(address=cluster.scheduler)


def rows_of(program, cluster, table):
    """Run a program's flow on the cluster: its state, and what it wrote."""
    load_all = program.on_cluster(cluster.scheduler)
    assert load_all.task_runner.address == cluster.scheduler
    state = load_all(table, cluster.scheduler, return_state=True)
    assert state.result() == 2100
    return state, sorted(table.read_text().split())


def test_a_dead_worker_takes_the_results_of_finished_tasks_with_it(
    api, cluster, dont, tmp_path
):
    """The result of a finished task stays in the memory of the worker that ran
    it. Here that worker dies while the sum still needs the six results, so Dask
    runs all six tasks again on the next worker. The server shows nothing of
    it: six task runs, each `Completed` and tried once.
    """
    table = tmp_path / "orders.csv"
    state, rows = rows_of(dont, cluster, table)
    assert rows == sorted(DAYS * 2)
    once = [("add_up", "Completed", 1), *[("load", "Completed", 1)] * 6]
    settles(lambda: task_runs(api, state), once)


def test_a_stored_result_is_read_and_not_computed_again(cluster, do, tmp_path):
    """A Dask worker that dies takes the results of finished tasks with it, and
    Dask runs them again, unless Prefect has stored their results.

    The task starts again on the next worker, finds its stored result and
    returns it.
    """
    _, rows = rows_of(do, cluster, tmp_path / "orders.csv")
    assert rows == DAYS
    assert len([*(tmp_path / "storage").iterdir()]) == 6


def test_a_task_brings_the_settings_of_its_flow(api, on_dask, tmp_path):
    """A task brings the settings of its flow along, and they win over the
    worker's environment: the address of the API, the storage, even the API key.

    What a task logs with `get_run_logger` is stored with the run, and what it
    prints is not.
    """

    @task
    def look():
        print("printed")
        get_run_logger().info("logged")
        settings = get_current_settings()
        return (
            settings.api.url,
            settings.api.key.get_secret_value(),
            settings.results.local_storage_path,
            os.getpid(),
        )

    @flow(task_runner=on_dask)
    def ask():
        return look.submit().result()

    with temporary_settings({PREFECT_API_KEY: "pnu_123"}):
        state = ask(return_state=True)
    *settings, process = state.result()
    own = [os.environ["PREFECT_API_URL"], "pnu_123", tmp_path / "storage"]
    assert settings == own
    assert process != os.getpid()
    settles(lambda: task_runs(api, state), [("look", "Completed", 1)])
    settles(lambda: "logged" in log_messages(api, state), True)
    assert "printed" not in log_messages(api, state)


def test_a_task_that_is_under_way_runs_again(cluster, on_dask, tmp_path):
    """A task that is under way when its worker dies runs again on another one,
    with stored results too.
    """
    tried = tmp_path / "tried"
    cluster.add_worker(cluster.scheduler)

    @task(persist_result=True)
    def load():
        with tried.open("a") as file:
            file.write("again ")
        os.kill(os.getpid(), 9)  # as Linux does if memory is short

    @flow(task_runner=on_dask)
    def load_all():
        return load.submit().result()

    state = load_all(return_state=True)
    assert tried.read_text() == "again again "
    assert state.is_failed() and "KilledWorker" in state.message
    assert (
        "different workers, but all those workers died while running it."
        in state.message
    )


def test_a_worker_needs_the_modules_that_a_task_uses(
    on_dask, tmp_path, monkeypatch, caplog
):
    """The code of a task travels with it, but a module that it uses must be
    where the scheduler and the workers run. Without it:
    """
    (tmp_path / "orders.py").write_text("def count():\n    return 100\n")
    monkeypatch.syspath_prepend(tmp_path)
    orders = importlib.import_module("orders")

    @task
    def load():
        return orders.count()

    @flow(task_runner=on_dask)
    def load_all():
        return load.submit().result()

    state = load_all(return_state=True)
    assert "Error during deserialization of the task graph." in state.message
    assert "ModuleNotFoundError: No module named 'orders'" in caplog.text


def test_the_same_flow_runs_on_threads(do, tmp_path, monkeypatch):
    """Without a cluster, the same flow runs on threads."""
    monkeypatch.setattr(do, "replace_worker", lambda scheduler: None)
    assert isinstance(do.load_all.task_runner, ThreadPoolTaskRunner)
    assert do.load_all(tmp_path / "orders.csv", "none") == 2100
