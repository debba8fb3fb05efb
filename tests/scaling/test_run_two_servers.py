import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prefect import Task, flow, task
from prefect.client.schemas.filters import FlowFilter
from prefect.client.schemas.objects import TaskRun
from prefect.client.subscriptions import Subscription
from prefect.events.clients import PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.server.events.ordering import PRECEDING_EVENT_LOOKBACK
from prefect.server.utilities.messaging import Message, StopConsumer
from prefect_redis import messaging
from redis import Redis

from tests.backend import (
    ENVIRONMENT,
    free_port,
    nginx,
    patient,
    postgres,
    redis,
    running,
    serve,
)
from tests.observe import client_of, settles
from tests.programs import python

ROOM = Path("snippets/scaling/run_two_servers").resolve()
SERVER, SERVICES = (
    line.split()[1:]
    for line in (ROOM / "start.sh").read_text().splitlines()
    if line.startswith("prefect")
)
Process = AbstractContextManager[subprocess.Popen]


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Iterator[str]:
    password = "only-for-this-test"
    with postgres(password) as port:
        where = f"prefect:{password}@127.0.0.1:{port}/prefect"
        url = f"postgresql+asyncpg://{where}"
        home = tmp_path_factory.mktemp("upgrade")
        upgrade = python(
            *("-m", "prefect", "server", "database", "upgrade", "-y"),
            cwd=home,
            PREFECT_HOME=str(home),
            PREFECT_SERVER_DATABASE_CONNECTION_URL=url,
        )
        assert upgrade.returncode == 0, upgrade.stderr
        yield url


class Fleet:
    """Two servers behind nginx. Each process has its own PREFECT_HOME."""

    def __init__(self, home: Path, toml: str, database: str, stack: ExitStack):
        self.home, self.toml, self.stack = home, toml, stack
        self.database = database
        self.ports = [free_port(), free_port()]
        self.urls = [f"http://127.0.0.1:{port}/api" for port in self.ports]

    def process(self, name: str, command: list[str]) -> dict[str, object]:
        """What runs, where, with what settings, and where its log goes."""
        home = self.home / name
        home.mkdir()
        (home / "prefect.toml").write_text(self.toml)
        log = self.stack.enter_context((home / "log").open("w"))
        settings = {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database,
            "PREFECT_LOGGING_SERVER_LEVEL": "INFO",
            "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
            "PREFECT_UI_ENABLED": "false",
            # A service that waits longer for the database ends without a word.
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        }
        env = os.environ | ENVIRONMENT | settings
        del env["PREFECT_API_URL"]
        return {
            "command": [sys.executable, "-m", "prefect", *command],
            "cwd": home,
            "env": env,
            "stdout": log,
            "stderr": subprocess.STDOUT,
        }

    def server(self, number: int, command: list[str]) -> Process:
        command = [*command, "--port", str(self.ports[number])]
        process = self.process(f"server-{number}", command)
        return serve(health_url=f"{self.urls[number]}/health", **process)

    def balancer(self) -> Process:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        site = (ROOM / "balancer.conf").read_text()
        for number, own in enumerate(self.ports, 1):
            machine = f"prefect-{number}.example.org:4200"
            site = site.replace(machine, f"127.0.0.1:{own}")
        site = site.replace("listen 4200", f"listen 127.0.0.1:{port}")
        return nginx(self.home, site, port)

    def start(self, *processes: Process) -> list[subprocess.Popen]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.stack.enter_context, processes))

    def log(self, number: int) -> str:
        return (self.home / f"server-{number}" / "log").read_text()


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory, database) -> Iterator[Fleet]:
    """Two whole servers, as dont.toml has them."""
    home = tmp_path_factory.mktemp("without")
    with ExitStack() as stack:
        toml = (ROOM / "dont.toml").read_text()
        fleet = Fleet(home, toml, database, stack)
        whole = ["server", "start"]
        fleet.start(fleet.server(0, whole), fleet.server(1, whole))
        fleet.start(fleet.balancer())
        yield fleet


@pytest.fixture(scope="module")
def with_redis(tmp_path_factory, database) -> Iterator[Fleet]:
    """Two servers and their services, as do.toml and start.sh have them."""
    home = tmp_path_factory.mktemp("with")
    with ExitStack() as stack:
        port = stack.enter_context(redis())
        toml = (ROOM / "do.toml").read_text()
        toml = toml.replace("redis.example.org:6379", f"127.0.0.1:{port}")
        fleet = Fleet(home, toml, database, stack)
        fleet.redis = Redis(port=port)

        def services_listen() -> bool:
            if not fleet.redis.exists("events"):
                return False
            groups = fleet.redis.xinfo_groups("events")
            return {group["name"] for group in groups} >= {
                *(b"reactive-triggers", b"task-run-recorder"),
            }

        server = [word.replace("0.0.0.0", "127.0.0.1") for word in SERVER]
        services = fleet.process("services", SERVICES)
        *fleet.servers, fleet.services = fleet.start(
            fleet.server(0, server),
            fleet.server(1, server),
            running(is_up=services_listen, **services),
        )
        fleet.start(fleet.balancer())
        yield fleet


@contextmanager
def loading(url: str, home: Path) -> Iterator[subprocess.Popen]:
    """Run load.py as a reader does, while the test does something else."""
    home.mkdir()
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    with subprocess.Popen(
        [sys.executable, ROOM / "load.py"],
        cwd=home,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def completed(url: str, flow_name: str) -> tuple[int, int]:
    """How many runs of a flow there are, and how many task runs in them."""
    this = FlowFilter(name={"any_": [flow_name]})
    with client_of(url) as api:
        runs = api.read_flow_runs(flow_filter=this)
        tasks = api.read_task_runs(flow_filter=this, limit=200)
    runs, tasks = (
        sum(run.state.is_completed() for run in these)
        for these in (runs, tasks)
    )
    return runs, tasks


def lease_on(url: str) -> str:
    with client_of(url) as api:
        api.upsert_global_concurrency_limit_by_name("two-servers-one", limit=1)
        answer = api.increment_concurrency_slots_with_lease(
            ["two-servers-one"], 1, "concurrency", lease_duration=300
        )
    return answer.json()["lease_id"]


def renew_and_release(url: str, lease: str) -> tuple[int, int]:
    """Renew and release a lease; return both answers' status."""
    limits = f"{url}/v2/concurrency_limits"
    renewed = httpx.post(
        f"{limits}/leases/{lease}/renew",
        json={"lease_duration": 300},
        timeout=60,
    )
    released = httpx.post(
        f"{limits}/decrement-with-lease", json={"lease_id": lease}, timeout=60
    )
    return renewed.status_code, released.status_code


def taken(url: str) -> int:
    with client_of(url) as api:
        limit = api.read_global_concurrency_limit_by_name("two-servers-one")
    return limit.active_slots


def seen_on_the_second(fleet: Fleet) -> set[str]:
    """Send events to both; which does somebody see who listens to one?"""
    names = [f"two-servers.{which}.{uuid4()}" for which in ("first", "second")]

    async def send() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while True:
                for url, name in zip(fleet.urls, names, strict=True):
                    event = {
                        "id": str(uuid4()),
                        "event": name,
                        "occurred": datetime.now(UTC).isoformat(),
                        "resource": {"prefect.resource.id": "two-servers"},
                    }
                    await client.post(f"{url}/events", json=[event])
                await asyncio.sleep(0.5)

    async def listen() -> set[str]:
        wanted = EventFilter(event=EventNameFilter(name=names))
        seen: list[str] = []
        async with PrefectEventSubscriber(filter=wanted) as subscriber:
            sender = asyncio.create_task(send())
            async for event in subscriber:
                seen.append(event.event)
                if seen.count(names[1]) == 3:
                    break
            sender.cancel()
        return {name.split(".")[1] for name in seen}

    with client_of(fleet.urls[1]):
        return asyncio.run(asyncio.wait_for(listen(), patient(30)))


def first_for_a_worker(url: str, background: Task) -> str:
    """Who runs background tasks asks a server so; what does it get first?"""

    async def ask() -> str:
        subscription = Subscription(
            TaskRun,
            "/task_runs/subscriptions/scheduled",
            [background.task_key],
            client_id="two-servers",
            base_url=url,
        )
        try:
            return str((await anext(subscription)).id)
        finally:
            await subscription.websocket.close()

    return asyncio.run(asyncio.wait_for(ask(), patient(30)))


def test_one_server_needs_no_redis(api, tmp_path):
    """One server needs no Redis: on it the program prints the same."""
    url = os.environ["PREFECT_API_URL"]
    runs, tasks = completed(url, "two-servers-load")
    with loading(url, tmp_path / "client") as run:
        said, log = run.communicate(timeout=patient(120))
    assert said == (ROOM / "do.txt").read_text(), log
    now = runs + 8, tasks + 8
    settles(lambda: completed(url, "two-servers-load"), now)
    limits = api.read_global_concurrency_limits(limit=200, offset=0)
    assert "two-servers" not in {limit.name for limit in limits}


def test_they_are_the_settings_that_prefect_asks_for(tmp_path):
    """The first four settings are those that Prefect asks for before
    `prefect server start --workers 2`.
    """
    (tmp_path / "prefect.toml").write_text((ROOM / "do.toml").read_text())
    check = tmp_path / "check.py"
    check.write_text(
        "from prefect.cli._server_utils import _validate_multi_worker\n"
        "from prefect_redis.client import RedisMessagingSettings\n"
        "_validate_multi_worker(2, exit)\n"
        "print(RedisMessagingSettings().url)\n"
    )
    settings = {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://db/prefect",
    }
    seen = python(check, cwd=tmp_path, **settings)
    said = "redis://redis.example.org:6379/0\n"
    assert (seen.returncode, seen.stdout) == (0, said), seen.stderr


def test_without_redis_slots_stay_taken_and_no_report_follows(
    without_redis, tmp_path
):
    """Each server keeps leases and events in its own memory, so with two
    servers and no Redis slots stay taken and automations do not act.

    A lease is what holds a slot. If the other server is asked to renew it, it
    answers 410, which the log of the run tells as a warning. If the other
    server is asked to release it, it answers as if it had done so, and the slot
    stays taken.

    A server hears of the end of a run whose start the other one has seen. It
    waits for that start before it lets automations act, for up to 15 minutes.

    Who follows the events of one server sees nothing of those that reached the
    other one.
    """
    fleet = without_redis
    first, second = fleet.urls
    with loading(fleet.url, tmp_path / "client") as run:
        said, log = run.communicate(timeout=patient(120))
    assert said == (ROOM / "dont.txt").read_text(), log
    lost = "Lease not found - it may have expired or been revoked"
    assert "410 Gone" in log and lost in log
    assert completed(second, "two-servers-load")[0] == 8
    waits = (
        "'prefect.flow-run.Completed' .* arrived before the event it follows"
    )
    assert re.search(waits, fleet.log(0) + fleet.log(1))
    assert timedelta(minutes=15) == PRECEDING_EVENT_LOOKBACK

    lease = lease_on(first)
    assert renew_and_release(second, lease) == (410, 204)
    assert taken(second) == 1
    assert renew_and_release(first, lease) == (204, 204)
    assert taken(second) == 0

    assert seen_on_the_second(fleet) == {"second"}


def test_with_redis_the_loads_survive_the_death_of_a_server(
    with_redis, tmp_path
):
    """With Redis both servers know the same leases and events.

    While this program ran, one of the two servers was killed. Eight loads
    ended as `Completed`, each with its task run and its report.

    The queue of background tasks stays in the memory of each server, with Redis
    too: a task worker gets only what reached the server that it is connected
    to.

    While they are away, flow runs complete, no request fails, and no task run
    is recorded.
    """
    fleet = with_redis
    first, second = fleet.urls

    assert renew_and_release(second, lease_on(first)) == (204, 204)
    assert taken(second) == 0
    assert seen_on_the_second(fleet) == {"first", "second"}

    @task
    def two_servers_mail() -> None: ...

    sent = []
    for url in fleet.urls:
        with client_of(url):
            sent.append(str(two_servers_mail.delay().task_run_id))
    assert first_for_a_worker(second, two_servers_mail) == sent[1]
    assert first_for_a_worker(first, two_servers_mail) == sent[0]

    runs, tasks = completed(second, "two-servers-load")
    with loading(fleet.url, tmp_path / "client") as run:
        middle = runs + 4
        settles(
            lambda: completed(second, "two-servers-load")[0] >= middle, True, 60
        )
        fleet.servers[0].kill()
        said, log = run.communicate(timeout=patient(120))
    assert said == (ROOM / "do.txt").read_text(), log
    now = runs + 8, tasks + 8
    settles(lambda: completed(second, "two-servers-load"), now)

    fleet.services.terminate()
    fleet.services.wait(patient(30))

    @flow
    def two_servers_audit() -> None:
        task(lambda: None, name="count-rows")()

    events = fleet.redis.xinfo_stream("events")["entries-added"]
    with client_of(fleet.url):
        two_servers_audit()

    def arrived() -> bool:
        new = fleet.redis.xrevrange("events", count=50)
        return any(b"prefect.task-run.Completed" in e[b"data"] for _, e in new)

    settles(arrived, True)
    assert fleet.redis.xinfo_stream("events")["entries-added"] > events
    assert completed(second, "two-servers-audit") == (1, 0)


def test_events_are_deleted_while_no_services_ask_for_them(monkeypatch):
    """Redis keeps the events for them. But the servers delete there what all
    have read, and after five minutes they no longer count services that are
    away: the events are lost.
    """
    prefix = "PREFECT_REDIS_MESSAGING"
    defaults = messaging.RedisMessagingConsumerSettings()
    assert defaults.trim_idle_threshold == timedelta(minutes=5)
    monkeypatch.setenv(f"{prefix}_CONSUMER_TRIM_IDLE_THRESHOLD", "1")
    monkeypatch.setenv(f"{prefix}_CONSUMER_TRIM_EVERY", "1")

    async def read(seen: list[str], until: int, **how: object) -> None:
        async def note(message: Message) -> None:
            seen.append(message.data)
            if len(seen) == until:
                raise StopConsumer(ack=True)

        await messaging.Consumer("events", **how).run(note)

    async def publish(*events: str) -> None:
        cache = messaging.Cache()
        async with messaging.Publisher("events", cache) as publisher:
            for event in events:
                await publisher.publish_data(event.encode(), {})

    async def services_die() -> list[str]:
        recorded: list[str] = []
        await publish("before")
        await read(recorded, 1, group="task-run-recorder")
        async with messaging.ephemeral_subscription("events") as server:
            del server["topic"]
            reading = asyncio.create_task(read([], 99, **server))
            await publish("one", "two", "three")
            while stream.xlen("events") > 1:
                await asyncio.sleep(0.2)
            await read(recorded, 2, group="task-run-recorder")
            reading.cancel()
        return recorded

    with redis() as port:
        monkeypatch.setenv(f"{prefix}_PORT", str(port))
        stream = Redis(port=port)
        recorded = asyncio.run(asyncio.wait_for(services_die(), patient(30)))
    assert recorded == ["before", "three"]
