import asyncio
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread, Timer
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.transactions import transaction
from prefect.workers.process import ProcessWorker

from tests.backend import patient
from tests.observe import client_of, settles, task_runs
from tests.programs import python

FIRST, SECOND, THIRD = (f"Counting 2026-03-0{day}" for day in (1, 2, 3))
POOL = "survive-a-killed-worker"
KILLED = """
import os
from pathlib import Path
from prefect import flow

def tell(name):
    Path(__file__).with_name(name).write_text(f"{os.getpid()}")

@flow(on_crashed=[lambda flow, flow_run, state: tell("on_crashed")])
def report():
    if Path(__file__).with_name("report").exists():
        return
    tell("report")
    try:
        os.kill(os.getpid(), 9)
    finally:
        tell("finally")
"""


@pytest.fixture
def kill_and_rerun(capfd, tmp_path):
    """Give the killed run, the state of the next and what that one did."""

    def runs(program):
        program.power_cut.run_and_kill(
            program.__file__, str(tmp_path / "storage"), THIRD
        )
        killed = capfd.readouterr()
        assert killed.out.splitlines() == [
            FIRST,
            SECOND,
            THIRD,
            "Killed, exit code -9",
        ]
        (run_id,) = re.findall(r"View at \S+/flow-run/(\S+)", killed.err)
        after = program.report(return_state=True)
        assert after.result() == 9
        return run_id, after, capfd.readouterr().out.splitlines()

    return runs


def retry(run_id) -> str:
    """What `prefect flow-run retry` says."""
    command = ("-m", "prefect", "--no-prompt", "flow-run", "retry", run_id)
    ended = python(*command, cwd=Path.cwd(), COLUMNS="300")
    return ended.stdout + ended.stderr


def test_without_stored_results_the_second_run_does_everything_again(
    dont, kill_and_rerun, api
):
    """A killed process cannot finish its work or hand it over, so the next run
    has only what it stored before.

    Of a task run that ended, the server has the state but not the result.

    If you started the flow by hand, nobody does. The run stays `Running`.

    It refuses a run that has not ended, such as one that still says `Running`.
    """
    killed, after, done = kill_and_rerun(dont)

    assert done == [FIRST, SECOND, THIRD]
    assert api.read_flow_run(killed).state_name == "Running"
    assert "'RUNNING' and cannot be retried" in retry(killed)

    def ended():
        runs = api.read_task_runs(
            flow_run_filter=FlowRunFilter(
                id={"any_": [after.state_details.flow_run_id]}
            )
        )
        return [(run.state_name, run.state.data) for run in runs]

    settles(ended, [("Completed", None)] * 3)


def test_with_stored_results_the_second_run_does_only_what_was_left(
    do, kill_and_rerun
):
    """A killed process cannot finish its work or hand it over, so the next run
    has only what it stored before.

    The file is written before the task returns, so every step that ended is
    safe.

    The step that was under way is done a second time, so make it idempotent.
    """
    assert do.count_orders.cache_policy == INPUTS + TASK_SOURCE
    *_, done = kill_and_rerun(do)

    assert done == [THIRD]


def test_a_transaction_stores_when_its_block_ends(do, tmp_path):
    """Inside of a transaction it is written only when the block ends."""

    def stored():
        return len([*(tmp_path / "storage").glob("*")])

    @flow
    def report():
        with transaction():
            do.count_orders("2026-03-01")
            in_the_block = stored()
        return in_the_block, stored()

    assert report() == (0, 1)


def test_a_worker_reports_a_killed_process_and_runs_it_again(api, tmp_path):
    """`kill -9` ends a process between two instructions, so no `finally` and no
    hook runs in it.

    If a process worker started it, the worker does. The run is `Crashed`, and
    its `on_crashed` hooks run.

    `prefect flow-run retry` with the id of a run starts the same run again,
    with the same parameters; if it has a deployment, on a worker.
    """
    (tmp_path / "killed.py").write_text(KILLED)
    api.create_work_pool(WorkPoolCreate(name=POOL, type="process"), True)
    deployment = flow.from_source(str(tmp_path), "killed.py:report").deploy(
        POOL, work_pool_name=POOL, print_next_steps=False
    )
    try:
        run = run_deployment(deployment, timeout=0)
        asyncio.run(ProcessWorker(POOL).start(run_once=True))
        state = api.read_flow_run(run.id).state
        assert state.name == "Crashed"
        assert state.message.startswith("Process exited with status code: -9. ")
        assert "has been scheduled for retry" in retry(run.id)
        asyncio.run(ProcessWorker(POOL).start(run_once=True))
        again = api.read_flow_run(run.id)
        assert (again.state.name, again.run_count) == ("Completed", 2)
    finally:
        api.delete_deployment(deployment)
        api.delete_work_pool(POOL)

    crashed = (tmp_path / "on_crashed").read_text()
    assert crashed != (tmp_path / "report").read_text()
    assert not (tmp_path / "finally").exists()


def test_a_run_cannot_begin_without_its_server(do):
    """A run cannot begin without it: it ends with a `RuntimeError`."""
    nowhere = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"})
    with nowhere, pytest.raises(RuntimeError) as error:
        do.report()

    assert str(error.value) == "Failed to reach API at http://127.0.0.1:1/api/"


class Line:
    """A way to the server that can be cut and mended."""

    def __init__(self):
        self.server = urlsplit(os.environ["PREFECT_API_URL"])
        self.port = 0
        self.mend()
        self.url = f"http://127.0.0.1:{self.port}/api"

    def mend(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        self.ends = [self.listener]
        Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(
                    (self.server.hostname, self.server.port)
                )
                self.ends += [client, server]
                for way in ((client, server), (server, client)):
                    Thread(target=self.carry, args=way, daemon=True).start()

    @staticmethod
    def carry(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def cut(self):
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def line():
    line = Line()
    with client_of(line.url):
        yield line


def test_a_run_goes_on_while_its_server_is_away_for_a_second(api, line):
    """A run that has begun goes on. If the server is back after a second, all
    task runs are recorded.
    """

    @task
    def count(day):
        sleep(0.2)

    @flow
    def report():
        for day in range(5):
            count(day)
            if day == 1:
                line.cut()
                Timer(1, line.mend).start()

    state = report(return_state=True)

    assert state.is_completed()
    settles(lambda: task_runs(api, state), [("count", "Completed", 1)] * 5)


def test_task_runs_are_lost_while_the_server_is_away_for_longer(
    api, line, caplog
):
    """If it is away for longer, task runs can be lost: they ran, but the server
    never hears of them.
    """
    counted = []

    @task
    def count(day):
        counted.append(day)

    @flow
    def report():
        line.cut()
        for day in range(3):
            count(day)
        until = monotonic() + patient(30)
        while "EventsWorker' failed" not in caplog.text and monotonic() < until:
            sleep(0.1)
        line.mend()
        count(3)

    state = report(return_state=True)

    assert state.is_completed()
    assert counted == [0, 1, 2, 3]
    assert "Service 'EventsWorker' failed with" in caplog.text
    settles(lambda: task_runs(api, state), [("count", "Completed", 1)])
