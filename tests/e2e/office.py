"""A team that runs the starter: its git host, server, worker, shop and chat."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import TYPE_CHECKING

import psutil

from tests import backend, git_host, starter
from tests.backend import patient
from tests.observe import settles
from tests.programs import tool

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

TOKEN = "may-read-the-code"
# The tests of good days prove that each run makes an environment of its own. In
# the others it has that of the worker, to save seconds of processor time.
QUICK = {"PREFECT_RUNNER_AUTO_INSTALL_DEPENDENCIES": "false"}
# The limit of the web shop, which `set-up` creates.
SHOP_LIMIT = "daily-sales-web-shop"
# What a day brings: of each source the number of its orders, and the cents.
STORES = [("berlin", 2, 750), ("hamburg", 1, 100)]
ALL = [*STORES, ("web-shop", 2, 2000)]


def part_of_starter(name: str) -> ModuleType:
    """Import a file of the starter's tests, which need nothing but Python."""
    file = starter.FOLDER / f"tests/{name}.py"
    spec = importlib.util.spec_from_file_location(f"starter_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SHOP = part_of_starter("shop")


class Project:
    """The starter in a repository of its own, as its team has it.

    Attributes:
        code: The clone of a member of the team, with an environment.
        commit: What is checked out there, and pushed.
        host: Where the repository is.
        environment: What commands see, besides the settings of Prefect.
    """

    def __init__(self, folder: Path, host: object) -> None:
        self.code, self.host = folder / "code", host
        starter.write_to(self.code)
        yaml = self.code / "prefect.yaml"
        yaml.write_text(
            yaml.read_text().replace("git.example.org", host.address)
        )
        inside = ["-C", str(self.code)]
        git_host.git(*inside, "init", "--quiet", "--initial-branch=main")
        git_host.git(*inside, "add", ".")
        git_host.git(*inside, "commit", "--quiet", "--message=Begin")
        bare = str(host.folder / "daily-sales.git")
        git_host.git("clone", "--quiet", "--bare", str(self.code), bare)
        self.commit = git_host.git(*inside, "rev-parse", "HEAD").strip()
        self.environment = starter.environment(
            **git_host.ENVIRONMENT,
            GIT_SSL_CAINFO=str(git_host.add_https(host)),
        )
        self.run("uv", "sync", "--locked", "--quiet")

    def run(self, *command: str, **variables: str) -> str:
        """Run a command, and return what it prints.

        Raises:
            AssertionError: If it fails, with what it printed.
        """
        ended = self.tries(*command, **variables)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def tries(
        self, *command: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        environment = self.environment | variables
        return tool(*command, cwd=self.code, env=environment)


class Office:
    """All that the project needs to run, each part of which can fail.

    Attributes:
        project: What is deployed.
        shop: The web shop, and the chat for alerts.
        gate: While it is not set, the web shop lets everybody wait.
        waits: Set when somebody does.
        settings: What the team and its worker have in their environment.
        folder: Where the stores send their files, and the database is.
        api: A client of the server.
    """

    api: SyncPrefectClient

    def __init__(self, folder: Path, project: Project, shop: object) -> None:
        self.folder, self.project, self.shop = folder, project, shop
        self.database = folder / "sales.db"
        self.gate, self.waits = Event(), Event()
        self.gate.set()
        self.days = (date(2026, 3, 1) + timedelta(n) for n in count())
        self.port = backend.free_port()
        self.settings = SHOP.variables(folder, shop) | {
            "DAILY_SALES_CLONE_TOKEN": TOKEN,
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        }
        answer = shop.answer  # of the starter's tests, whose shop never waits

        def wait_and_answer(*asked: object) -> object:
            if not self.gate.is_set():
                self.waits.set()
            assert self.gate.wait(patient(60))
            return answer(*asked)

        shop.answer = wait_and_answer
        self.server = ExitStack()
        self.worker: subprocess.Popen | None = None

    def run(self, *command: str, **variables: str) -> str:
        """Run a command as a member of the team."""
        return self.project.run(*command, **self.settings | variables)

    def start_server(self) -> None:
        """Start the server with what it had stored before."""
        self.server.enter_context(
            backend.prefect_server(
                self.folder / "server", self.port, **backend.LEASES_IN_FILES
            )
        )

    def start_worker(self, *options: str, **variables: str | None) -> None:
        """Start a worker in the place of the one that runs."""
        self.pull_the_plug()
        environment = self.project.environment | self.settings | variables
        command = ["uv", "run", "--no-sync", "--project", self.project.code]
        command += ["prefect", "worker", "start", "--pool", "daily-sales"]
        command += options
        with (self.folder / "worker.log").open("a") as log:
            self.worker = subprocess.Popen(
                command,
                cwd=self.folder,
                env={k: v for k, v in environment.items() if v is not None},
                stdout=log,
                stderr=log,
            )

    def pull_the_plug(self) -> None:
        """Kill the worker, and all that it has started, with -9."""
        if self.worker:
            worker = psutil.Process(self.worker.pid)
            for process in [*worker.children(recursive=True), worker]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.worker.wait()
            self.worker = None

    def next_day(self) -> date:
        """A day of which nothing is loaded, and the files have come."""
        day = next(self.days)
        self.send_files(day)
        return day

    def send_files(self, day: date) -> None:
        """Do what the stores do at night."""
        SHOP.send_files(self.folder / "csv", day)

    def runs_of(self, day: date) -> list[FlowRun]:
        """The runs for a day."""
        runs = self.api.read_flow_runs()
        return [run for run in runs if run.parameters.get("day") == str(day)]

    def ask(
        self,
        deployment: str = "nightly",
        variables: Mapping[str, str] = {},
        **parameters: object,
    ) -> FlowRun:
        """Ask for a run, as the button of the dashboard does.

        Args:
            deployment: Of which deployment.
            variables: More of what the run has in its environment.
            **parameters: Its parameters.
        """
        return self.api.create_flow_run_from_deployment(
            self.deployment(deployment).id,
            parameters=parameters,
            job_variables={"env": {**QUICK, **variables}},
        )

    def deployment(self, name: str) -> DeploymentResponse:
        return self.api.read_deployment_by_name(f"load-daily-sales/{name}")

    def becomes(self, run: FlowRun, name: str) -> FlowRun:
        """Wait until a run has a state or has ended, and read it.

        Raises:
            AssertionError: If its state is another, with what that says.
        """

        def there() -> bool:
            state = self.api.read_flow_run(run.id).state
            return state.name == name or state.is_final()

        settles(there, True, 60)
        run = self.api.read_flow_run(run.id)
        assert run.state.name == name, run.state
        return run

    def held(self, day: date) -> FlowRun:
        """A run that has loaded the stores, and waits for the web shop."""
        self.gate.clear()
        self.waits.clear()
        run = self.ask(day=day)
        settles(self.waits.is_set, True, 60)
        settles(lambda: self.sold(day), STORES)
        return self.becomes(run, "Running")

    def alerts(self, automation: str = "daily-sales-failed") -> list[str]:
        """What an automation has sent to the chat."""
        return [
            text for text in self.shop.alerts if text.startswith(automation)
        ]

    def told(self, *texts: str) -> None:
        """Wait until the chat has the alert of a bad end, and look into it."""
        settles(lambda: len(self.alerts()), 1)
        (alert,) = self.alerts()
        assert [text for text in texts if text not in alert] == [], alert

    def completes(self, day: date) -> None:
        """Ask for a day, find all of it in the table, and nobody is told."""
        self.shop.alerts.clear()
        self.becomes(self.ask(day=day), "Completed")
        assert self.sold(day) == ALL
        assert self.alerts() == []

    def taken(self, limit: str) -> int:
        """How many slots of a limit are taken."""
        found = self.api.read_global_concurrency_limit_by_name(limit)
        return found.active_slots

    def sold(self, day: date) -> list[tuple[str, int, int]]:
        """What the table has of a day: source, orders, cents."""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(
                "select source, count(*), sum(cents) from daily_sales"
                " where day = ? group by source order by source",
                [str(day)],
            ).fetchall()
