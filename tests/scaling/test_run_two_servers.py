import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from uuid import uuid4

import asyncpg
import httpx
import pytest
from prefect import Task, flow, task
from prefect.client.schemas.objects import TaskRun
from prefect.client.subscriptions import Subscription
from prefect.events.clients import PrefectEventSubscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import PrefectHTTPStatusError
from redis import Redis
from websockets.sync import client as websocket_client
from websockets.sync import server as websocket_server

from tests.backend import (
    free_port,
    listens,
    nginx,
    patient,
    postgres,
    prefect_server,
    redis,
)
from tests.observe import client_of, settles
from tests.programs import beside, python

ROOM = Path("snippets/scaling/run_two_servers").resolve()
SERVER, SERVICES = (
    line.replace("0.0.0.0", "127.0.0.1").split()[1:]
    for line in (ROOM / "start.sh").read_text().splitlines()
    if line.startswith("prefect")
)
HTTP = httpx.Client(timeout=60)


def balanced(home: Path, ports: list[int], stack: ExitStack) -> str:
    """Start nginx before two ports, as balancer.conf says: its address."""
    site = (ROOM / "balancer.conf").read_text()
    for number, own in enumerate(ports, 1):
        machine = f"prefect-{number}.example.org:4200"
        site = site.replace(machine, f"127.0.0.1:{own}")
    assert "listen 4200;" in site
    port = free_port()
    site = site.replace("listen 4200", f"listen 127.0.0.1:{port}")
    stack.enter_context(nginx(home, site, port))
    return f"127.0.0.1:{port}"


class Fleet:
    """Two servers behind nginx. Each process has its own PREFECT_HOME."""

    def __init__(self, home: Path, toml: str, database: str, stack: ExitStack):
        self.home, self.toml, self.stack = home, toml, stack
        self.database = database
        home.mkdir()
        self.ports = [free_port(), free_port()]
        self.urls = [f"http://127.0.0.1:{port}/api" for port in self.ports]
        self.url = f"http://{balanced(home, self.ports, stack)}/api"
        self.loading = None

    def start(self, name: str, command: list[str]) -> BaseProcess:
        home = self.home / name
        home.mkdir(exist_ok=True)
        (home / "prefect.toml").write_text(self.toml)
        settings = {
            "PREFECT_API_URL": None,
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database,
            "PREFECT_LOGGING_SERVER_LEVEL": "INFO",
            "PREFECT_UI_ENABLED": "false",
            # A service that waits longer for the database ends without a word.
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        }
        process = beside("-m", "prefect", *command, cwd=home, **settings)
        return self.stack.enter_context(process)

    def start_server(self, number: int, command: list[str]) -> BaseProcess:
        port = str(self.ports[number])
        return self.start(f"server-{number}", [*command, "--port", port])

    def load(self) -> None:
        """Run load.py as a reader does, while the test does something else."""
        home = self.home / "client"
        settings = {"PREFECT_HOME": str(home), "PREFECT_API_URL": self.url}
        process = beside(ROOM / "load.py", cwd=home, **settings)
        self.loading = self.stack.enter_context(process)

    def loaded(self) -> tuple[str, str]:
        """What load.py has printed in the end, and its log."""
        self.loading.join(patient(120))
        assert self.loading.exitcode == 0, self.log("client")
        return (self.home / "client/stdout").read_text(), self.log("client")

    def log(self, name: str) -> str:
        return (self.home / name / "stderr").read_text()


def ready(fleet: Fleet) -> bool:
    """Whether its servers listen, which they do when they have started."""
    for number, server in enumerate(fleet.servers):
        assert server.exitcode is None, fleet.log(f"server-{number}")
    return all(map(listens, fleet.ports))


def services_listen(fleet: Fleet) -> bool:
    assert fleet.services.exitcode is None, fleet.log("services")
    if not fleet.redis.exists("events"):
        return False
    groups = fleet.redis.xinfo_groups("events")
    needed = {b"reactive-triggers", b"task-run-recorder"}
    return {group["name"] for group in groups} >= needed


@pytest.fixture(scope="module")
def databases(tmp_path_factory) -> Iterator[list[str]]:
    """Two databases of one PostgreSQL, ready for servers."""
    password = "only-for-this-test"
    with postgres(password) as port:
        where = f"://prefect:{password}@127.0.0.1:{port}"
        first, second = (
            f"postgresql+asyncpg{where}/{name}" for name in ("prefect", "copy")
        )
        home = tmp_path_factory.mktemp("upgrade")
        upgrade = python(
            *("-m", "prefect", "server", "database", "upgrade", "-y"),
            cwd=home,
            PREFECT_HOME=str(home),
            PREFECT_SERVER_DATABASE_CONNECTION_URL=first,
        )
        assert upgrade.returncode == 0, upgrade.stderr

        async def copy() -> None:
            connection = await asyncpg.connect(f"postgresql{where}/postgres")
            await connection.execute("CREATE DATABASE copy TEMPLATE prefect")
            await connection.close()

        asyncio.run(copy())
        yield [first, second]


@pytest.fixture(scope="module")
def fleets(tmp_path_factory, databases) -> Iterator[tuple[Fleet, Fleet]]:
    """Two whole servers, as dont.toml has them, and two with services apart,
    as do.toml and start.sh have them. On both, load.py runs.
    """
    home = tmp_path_factory.mktemp("fleets")
    with ExitStack() as stack:
        port = stack.enter_context(redis())
        dont = (ROOM / "dont.toml").read_text()
        do = (ROOM / "do.toml").read_text()
        do = do.replace("redis.example.org:6379", f"127.0.0.1:{port}")
        without = Fleet(home / "without", dont, databases[0], stack)
        fleet = Fleet(home / "with", do, databases[1], stack)
        fleet.redis = Redis(port=port)
        for one, command in (without, ["server", "start"]), (fleet, SERVER):
            one.servers = [one.start_server(n, command) for n in (0, 1)]
        fleet.services = fleet.start("services", SERVICES)
        for one in (without, fleet):
            settles(partial(ready, one), True, 60)
        settles(partial(services_listen, fleet), True, 60)
        without.load()
        fleet.load()
        kill_one_in_the_middle(fleet)
        yield without, fleet


def kill_one_in_the_middle(fleet: Fleet) -> None:
    """Kill a server while load.py runs, which stands still in the meantime.

    So no request is under way on it: its answer would be lost.
    """
    _, second = fleet.urls
    settles(lambda: completed(second, "two-servers-load")[0] > 1, True, 60)
    os.kill(fleet.loading.pid, signal.SIGSTOP)
    time.sleep(patient(0.5))
    fleet.loaded_before, _ = completed(second, "two-servers-load")
    fleet.servers[0].kill()
    fleet.servers[0].join()

    @flow
    def two_servers_other() -> None: ...

    # No report follows the end of another flow's run, and no other run is one.
    with client_of(second) as api:
        two_servers_other()
        other = two_servers_other.to_deployment("two-servers-other").apply()
        api.create_flow_run_from_deployment(other)
    os.kill(fleet.loading.pid, signal.SIGCONT)
    fleet.loaded()
    fleet.servers[0] = fleet.start_server(0, SERVER)
    settles(partial(ready, fleet), True, 60)


def completed(url: str, flow_name: str) -> tuple[int, int]:
    """How many runs of a flow are completed, and task runs in them."""
    state = {"state": {"type": {"any_": ["COMPLETED"]}}}
    these = {"flows": {"name": {"any_": [flow_name]}}}
    runs, tasks = (
        HTTP.post(f"{url}/{kind}/count", json=these | {kind: state}).json()
        for kind in ("flow_runs", "task_runs")
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
    renewed = HTTP.post(
        f"{limits}/leases/{lease}/renew", json={"lease_duration": 300}
    )
    released = HTTP.post(
        f"{limits}/decrement-with-lease", json={"lease_id": lease}
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


def test_workers_of_one_server_need_the_same_settings(tmp_path):
    """`prefect server start --workers 2` starts two servers on one machine, but
    no services. It does not start without the first four settings.
    """
    program = tmp_path / "start.py"
    program.write_text(
        "from prefect.cli import _server_utils, server\n"
        "from prefect_redis.client import RedisMessagingSettings\n"
        "def run(screen, all, host, port, alive, no_services, workers, **_):\n"
        "    print(RedisMessagingSettings().url, no_services, workers)\n"
        "_server_utils._run_in_foreground = run\n"
        f"server.start(port={free_port()}, workers=2)\n"
    )

    def started(settings: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "prefect.toml").write_text(settings)
        database = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
        return python(
            program,
            cwd=tmp_path,
            PREFECT_HOME=str(tmp_path),
            **{database: "postgresql+asyncpg://db/prefect"},
        )

    do = (ROOM / "do.toml").read_text()
    seen = started(do).stdout
    assert "redis://redis.example.org:6379/0 True 2\n" in seen
    needs = "Multi-worker mode (--workers > 1) requires Redis for messaging"
    first = [line for line in do.splitlines() if "prefect_redis" in line]
    assert len(first) == 4
    for line in first:
        seen = started(do.replace(line, ""))
        assert seen.returncode == 1
        assert needs in " ".join(seen.stdout.split())


def test_the_balancer_gives_each_request_to_one_of_the_servers(tmp_path):
    """The load balancer gives each request to one of the servers, at random."""
    with ExitStack() as stack:
        ports = []
        for number in "12":

            def answer(connection, request, number=number):
                if "Upgrade" not in request.headers:
                    return connection.respond(200, number)

            def send(connection, number=number):
                connection.send(number)

            server = stack.enter_context(
                websocket_server.serve(
                    send, "127.0.0.1", 0, process_request=answer
                )
            )
            Thread(target=server.serve_forever).start()
            ports.append(server.socket.getsockname()[1])

        address = balanced(tmp_path, ports, stack)
        asked = "".join(httpx.get(f"http://{address}").text for _ in range(40))
        assert {*asked} == {"1", "2"}
        assert "11" in asked or "22" in asked
        with websocket_client.connect(f"ws://{address}") as events:
            assert events.recv(patient(10)) in asked


def test_events_are_deleted_while_no_services_ask_for_them(monkeypatch):
    """But the servers delete there what all have read, and after five minutes
    they no longer count services that are away: the events are lost.
    """
    from prefect.server.utilities.messaging import Message, StopConsumer
    from prefect_redis import messaging

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


def test_one_server_needs_no_redis(tmp_path):
    """One server needs no Redis: on it the program prints the same."""
    home = tmp_path / "client"
    home.mkdir()
    with prefect_server(tmp_path / "server") as url, client_of(url) as api:
        run = python(
            ROOM / "load.py",
            cwd=home,
            PREFECT_HOME=str(home),
            PREFECT_API_URL=url,
        )
        assert run.stdout == (ROOM / "do.txt").read_text(), run.stderr
        settles(lambda: completed(url, "two-servers-load"), (12, 12))
        assert api.read_deployments() == []
        assert api.read_automations() == []
        limits = api.read_global_concurrency_limits(limit=10, offset=0)
        assert limits == []


def test_without_redis_slots_stay_taken_and_no_report_follows(fleets):
    """Each server keeps leases and events in its own memory, so with two
    servers and no Redis slots stay taken and automations do not act.

    A lease is what holds a slot. If the other server is asked to renew it, it
    answers 410, which the log of the run tells as a warning. If the other
    server is asked to release it, it answers as if it had done so, and the slot
    stays taken until the lease runs out.

    A server hears of the end of a run whose start the other one has seen. It
    waits for that start before it lets automations act, for up to 15 minutes.

    Who follows the events of one server sees nothing of those that reached the
    other one.

    Two machines that each start a server are not asked for them.
    """
    from prefect.server.events.ordering import PRECEDING_EVENT_LOOKBACK

    fleet, _ = fleets
    first, second = fleet.urls
    lease = lease_on(first)
    assert renew_and_release(second, lease) == (410, 204)
    assert taken(second) == 1
    assert renew_and_release(first, lease) == (204, 204)
    assert taken(second) == 0

    assert seen_on_the_second(fleet) == {"second"}

    said, log = fleet.loaded()
    assert said == (ROOM / "dont.txt").read_text(), log
    lost = "Lease not found - it may have expired or been revoked"
    assert "410 Gone" in log and lost in log
    assert completed(second, "two-servers-load")[0] == 12
    waits = (
        "'prefect.flow-run.Completed' .* arrived before the event it follows"
    )
    assert re.search(waits, fleet.log("server-0") + fleet.log("server-1"))
    assert timedelta(minutes=15) == PRECEDING_EVENT_LOOKBACK


def test_with_redis_the_loads_survive_the_death_of_a_server(fleets):
    """While this program ran, one of the two servers was killed, between two
    requests. Twelve loads ended as `Completed`, each with its task run and its
    report.
    """
    _, fleet = fleets
    assert 1 < fleet.loaded_before < 12
    said, log = fleet.loaded()
    assert said == (ROOM / "do.txt").read_text(), log
    settles(lambda: completed(fleet.url, "two-servers-load"), (12, 12))


def test_with_redis_both_servers_know_the_same(fleets):
    """With Redis both servers know the same leases and events."""
    _, fleet = fleets
    first, second = fleet.urls
    assert renew_and_release(second, lease_on(first)) == (204, 204)
    assert taken(second) == 0
    assert seen_on_the_second(fleet) == {"first", "second"}


def test_each_server_keeps_background_tasks_for_itself(fleets):
    """The queue of background tasks stays in the memory of each server, with
    Redis too: a task worker gets only what reached the server that it is
    connected to.
    """
    _, fleet = fleets
    first, second = fleet.urls

    @task
    def two_servers_mail() -> None: ...

    sent = []
    for url in fleet.urls:
        with client_of(url):
            sent.append(str(two_servers_mail.delay().task_run_id))
    assert first_for_a_worker(second, two_servers_mail) == sent[1]
    assert first_for_a_worker(first, two_servers_mail) == sent[0]


def test_without_services_no_task_run_is_recorded(fleets):
    """While they are away, flow runs complete, no request fails, and no task
    run is recorded. Redis keeps the events for them.
    """
    _, fleet = fleets

    @flow
    def two_servers_audit() -> None:
        task(lambda: None, name="count-rows")()

    def arrived() -> bool:
        new = fleet.redis.xrevrange("events", count=50)
        return any(b"prefect.task-run.Completed" in e[b"data"] for _, e in new)

    settles(lambda: completed(fleet.url, "two-servers-load"), (12, 12))
    fleet.services.terminate()
    fleet.services.join(patient(30))
    fleet.redis.xtrim("events", 0)
    with client_of(fleet.url):
        two_servers_audit()
    settles(arrived, True)
    assert completed(fleet.url, "two-servers-audit") == (1, 0)

    fleet.services = fleet.start("services", SERVICES)
    settles(lambda: completed(fleet.url, "two-servers-audit"), (1, 1), 60)


def test_while_redis_is_away_no_flow_run_begins(tmp_path):
    """While Redis is away, the servers answer 500, and no flow run begins."""

    @flow
    def two_servers_again() -> None: ...

    with ExitStack() as stack, redis() as port:
        do = (ROOM / "do.toml").read_text()
        do = do.replace("redis.example.org:6379", f"127.0.0.1:{port}")
        (tmp_path / "prefect.toml").write_text(do)
        url = stack.enter_context(prefect_server(tmp_path))
        stack.enter_context(client_of(url))
        two_servers_again()
        Redis(port=port).shutdown(nosave=True)
        with pytest.raises(PrefectHTTPStatusError, match="500"):
            two_servers_again()
        assert completed(url, "two-servers-again")[0] == 1
