"""The starter, unchanged, where one machine is not enough.

Two API servers behind nginx share PostgreSQL and Redis, as the rule of two
servers says. Two workers, which are two machines, take one run each at a time.
The table is in PostgreSQL too. In the middle of a day's work an API server and
a worker are killed with -9.

Then a run of the same code has its tasks on a Dask cluster, of which a worker
is killed with -9.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import psutil
import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from redis import Redis

from tests import backend
from tests.backend import listens, patient
from tests.e2e.office import ALL, SHOP, SHOP_LIMIT, STORES, Office, Project
from tests.observe import client_of, log_messages, settles
from tests.scaling.test_run_two_servers import (
    ROOM,
    SERVER,
    SERVICES,
    Fleet,
    ready,
    services_listen,
)

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.xdist_group("many machines")

PASSWORD = "only-for-this-test"
DASHBOARD = "https://prefect.example.org"
# What a run has recorded on the server when its work is done.
TASKS = [
    *("fetch_orders", "publish_report", "read-berlin.csv", "read-hamburg.csv"),
    *("save-berlin", "save-hamburg", "save-web-shop"),
]
DONE = [(name, "Completed", 1) for name in TASKS]


class Company(Office):
    """A team whose server and workers are several machines.

    Attributes:
        fleet: The API servers, and the services.
        workers: The processes of the workers, by their names.
        came: The days for which somebody came to the gate of the web shop.
    """

    def __init__(
        self, folder: Path, project: Project, shop: object, stack: ExitStack
    ) -> None:
        super().__init__(folder, project, shop)
        redis = stack.enter_context(backend.redis())
        port = stack.enter_context(backend.postgres(PASSWORD))
        self.postgres = f"://prefect:{PASSWORD}@127.0.0.1:{port}"
        self.query("prefect", "create database sales")
        toml = (ROOM / "do.toml").read_text()
        toml = toml.replace("redis.example.org:6379", f"127.0.0.1:{redis}")
        self.fleet = Fleet(
            folder / "fleet",
            # The services know of no server whose links they could send.
            f'ui_url = "{DASHBOARD}"\n{toml}',
            f"postgresql+asyncpg{self.postgres}/prefect",
            stack,
        )
        self.fleet.redis = Redis(port=redis)
        self.fleet.servers = []
        self.settings |= {
            "PREFECT_API_URL": self.fleet.url,
            "DAILY_SALES_DATABASE_URL": (
                f"postgresql+psycopg{self.postgres}/sales"
            ),
            # No run that lives takes so long, so none needs a heartbeat.
            "DAILY_SALES_SILENCE": f"PT{10 + patient(5):.0f}S",
        }
        self.workers: dict[str, subprocess.Popen] = {}
        self.came: list[str] = []
        answer = shop.answer

        def note_and_answer(day: str, *asked: object) -> object:
            self.came.append(day)
            return answer(day, *asked)

        shop.answer = note_and_answer

    def start_server(self) -> None:
        """Start the next of the API servers."""
        servers = self.fleet.servers
        servers.append(self.fleet.start_server(len(servers), SERVER))

    def start_workers(self) -> None:
        """Start workers that take one run each, and share no folder."""
        for name in "first", "second":
            home = str(self.folder / name)
            one = ("--name", name, "--limit", "1")
            self.start_worker(*one, PREFECT_HOME=home)
            self.workers[name], self.worker = self.worker, None

    def kill_worker(self, name: str) -> None:
        self.worker = self.workers.pop(name)
        self.pull_the_plug()

    def kill_workers(self) -> None:
        for name in [*self.workers]:
            self.kill_worker(name)

    def asked_for(self, day: date) -> int:
        """How often somebody came to the web shop for a day."""
        return self.came.count(str(day))

    def runs(self, name: str) -> set[str]:
        """The ids of the runs for which a worker has a process."""
        worker = psutil.Process(self.workers[name].pid)
        return {
            environment["PREFECT__FLOW_RUN_ID"]
            for child in worker.children(recursive=True)
            if "PREFECT__FLOW_RUN_ID" in (environment := child.environ())
        }

    def recorded(self, run: FlowRun) -> dict[UUID, tuple[str, str, int]]:
        """The task runs of a run: name, state, and how often each was tried."""
        this = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        return {
            # Those that have no name of their own end in three random digits.
            found.id: (
                re.sub(r"-[0-9a-f]{3}$", "", found.name),
                found.state_name,
                found.run_count,
            )
            for found in self.api.read_task_runs(flow_run_filter=this)
        }

    def is_done(self, run: FlowRun, day: date) -> None:
        """Assert that a run has loaded a day, and that the server says so."""
        run = self.becomes(run, "Completed")
        assert self.sold(day) == ALL
        assert run.name == f"sales of {day}"
        assert run.deployment_version == self.project.commit
        settles(lambda: sorted(self.recorded(run).values()), DONE)

    def query(self, database: str, sql: str) -> list[tuple]:
        async def ask() -> list[tuple]:
            url = f"postgresql{self.postgres}/{database}"
            connection = await asyncpg.connect(url)
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def sold(self, day: date) -> list[tuple[str, int, int]]:
        return self.query(
            "sales",
            "select source, count(*), sum(cents)::int from daily_sales"
            f" where day = '{day}' group by source order by source",
        )


@pytest.fixture(scope="module")
def company(
    tmp_path_factory: pytest.TempPathFactory, project: Project
) -> Iterator[Company]:
    """The team at work: all is set up, deployed and running."""
    with ExitStack() as stack:
        shop = stack.enter_context(SHOP.open_shop())
        folder = tmp_path_factory.mktemp("company")
        company = Company(folder, project, shop, stack)
        # The first of them makes the tables of an empty database.
        company.start_server()
        settles(partial(listens, company.fleet.ports[0]), True, 60)
        company.start_server()
        company.fleet.services = company.fleet.start("services", SERVICES)
        company.run("uv", "run", "--no-sync", "daily-sales", "set-up")
        stack.callback(company.kill_workers)
        company.start_workers()
        deploy = ("uv", "run", "--no-sync", "prefect", "deploy", "--all")
        company.run(*deploy)
        settles(partial(ready, company.fleet), True, 60)
        settles(partial(services_listen, company.fleet), True, 60)
        stack.callback(company.gate.set)
        with client_of(company.fleet.url) as company.api:
            nightly = company.deployment("nightly")
            # A machine that tests at six in the morning has no run too many.
            company.api.update_deployment_schedule(
                nightly.id, nightly.schedules[0].id, active=False
            )
            # What asked the shop, and was killed, keeps its slot for up to five
            # minutes. Here two are killed, and the limit is 2.
            company.api.upsert_global_concurrency_limit_by_name(
                SHOP_LIMIT, limit=4
            )
            yield company


@pytest.fixture
def gate(company: Company) -> Iterator[Event]:
    """The gate of the web shop, closed until the test opens it or ends."""
    company.gate.clear()
    yield company.gate
    company.gate.set()


def connections(server: BaseProcess) -> int:
    """How many connections to a server are open. Most wait for events."""
    found = psutil.Process(server.pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED for one in found)


def test_a_server_and_a_worker_are_killed(company, gate):
    """Three days are to be loaded. When each worker is at one, and waits for
    the web shop, a server is killed, the one that most of the others talk to,
    and a worker with the process of its run.

    The run that was under way on the other worker ends well with the server
    that is left, and the next one begins. nginx passes on what the dead one
    refuses.

    The run of the killed worker says that it runs, until it has been silent for
    too long. Then the team is told, once, and starts it again. What was
    recorded of the first time stays: its tasks are `Running` for ever.
    """
    api, fleet = company.api, company.fleet
    days = [company.next_day() for _ in range(3)]
    lost = company.ask("nightly", day=days[0])
    backfill = ("uv", "run", "--no-sync", "daily-sales", "backfill", "outage")
    company.run(*backfill, str(days[1]), str(days[2]))
    settles(lambda: [*map(company.asked_for, days)], [1, 1, 0])
    settles(lambda: [*map(company.sold, days)], [STORES, STORES, []])
    asked = {run.parameters.get("day"): run for run in api.read_flow_runs()}
    others = [asked[str(day)] for day in days[1:]]
    held = ("fetch_orders", "Running", 1)
    for run in lost, others[0]:
        settles(lambda run=run: held in company.recorded(run).values(), True)
    (killed,) = (w for w in company.workers if str(lost.id) in company.runs(w))
    (left,) = company.workers.keys() - {killed}
    assert company.runs(killed) == {str(lost.id)}
    assert company.runs(left) == {str(others[0].id)}

    server = max(fleet.servers, key=connections)
    server.kill()
    server.join()
    company.kill_worker(killed)
    gate.set()
    for run, day in zip(others, days[1:], strict=True):
        company.is_done(run, day)
    refused = (fleet.home / "error.log").read_text()
    assert "connect() failed (111: Connection refused)" in refused

    crashed = company.becomes(lost, "Crashed")
    assert crashed.state.message == "No heartbeat."
    assert company.sold(days[0]) == STORES

    def told() -> list[str]:
        ours = tuple(str(run.id) for run in (lost, *others))
        return [text for text in company.shop.alerts if text.endswith(ours)]

    crash = f"sales of {days[0]} is Crashed.\nNo heartbeat.\n"
    link = f"{DASHBOARD}/runs/flow-run/{lost.id}"
    alerts = [f"daily-sales-failed\n{crash}{link}"]
    settles(told, alerts)

    before = company.recorded(lost)
    assert held in before.values()
    retry = ("uv", "run", "--no-sync", "prefect", "flow-run", "retry")
    company.run(*retry, str(lost.id))

    def new() -> list[tuple[str, str, int]]:
        after = company.recorded(lost).items()
        return sorted(task for one, task in after if one not in before)

    assert company.becomes(lost, "Completed").run_count == 2
    assert company.sold(days[0]) == ALL
    settles(new, DONE)
    assert before.items() <= company.recorded(lost).items()
    assert told() == alerts


@contextmanager
def dask(company: Company, *arguments: str) -> Iterator[subprocess.Popen]:
    """Run a part of a Dask cluster in the environment of the project."""
    program = company.project.code / ".venv/bin/dask"
    log = company.folder / f"dask-{arguments[0]}.log"
    with log.open("a") as file:
        process = subprocess.Popen(
            [program, *arguments, "--no-dashboard"],
            cwd=company.folder,
            env=company.project.environment | company.settings,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_dask_worker_is_killed(company, gate):
    """A variable of a single run names the cluster. Of the finished tasks the
    results are lost with the worker, so Dask does them again, and the task that
    was under way. The table has all once, and the server records each once.
    """
    day = company.next_day()
    port = backend.free_port()
    cluster = f"tcp://127.0.0.1:{port}"
    variables = {"DAILY_SALES_DASK_SCHEDULER": cluster}
    worker = ("worker", cluster, "--nthreads", "4", "--no-nanny")
    stores = ["Saved 1 orders of hamburg.", "Saved 2 orders of berlin."]

    def joined() -> int:
        log = (company.folder / "dask-scheduler.log").read_text()
        return log.count("Register worker")

    def saved() -> list[str]:
        said = log_messages(company.api, run.state)
        return sorted(line for line in said if line.startswith("Saved"))

    with ExitStack() as stack:
        here = ("--host", "127.0.0.1", "--port", str(port))
        stack.enter_context(dask(company, "scheduler", *here))
        first = stack.enter_context(dask(company, *worker))
        run = company.ask("backfill", variables, day=day)
        settles(partial(company.asked_for, day), 1, 60)
        settles(partial(company.sold, day), STORES)
        # It joins when it is too late to take a task from the first.
        stack.enter_context(dask(company, *worker))
        settles(joined, 2)
        settles(saved, stores)
        first.kill()
        settles(partial(company.asked_for, day), 2)
        settles(saved, sorted(stores * 2))
        gate.set()
        company.is_done(run, day)
