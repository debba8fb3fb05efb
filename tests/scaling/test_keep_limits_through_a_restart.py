import asyncio
import json
import runpy
import shutil
import time
from contextlib import ExitStack, redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency import _leases
from prefect.concurrency.sync import concurrency
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, Pending, Running
from redis.asyncio import Redis

from tests.backend import end_leases, free_port, prefect_server, redis
from tests.observe import client_of, log_messages, settles
from tests.programs import python

ROOM = Path("snippets/scaling/keep_limits_through_a_restart").resolve()
QUICK = {
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
}


class Office:
    """A server that is restarted while maps are drawn, and what was seen."""

    def __init__(self, home: Path):
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.server = ExitStack()

    def start(self, settings: str) -> None:
        """End the server, and start one with these settings."""
        self.server.close()
        shutil.copy(ROOM / settings, self.home / "prefect.toml")
        self.server.enter_context(prefect_server(self.home, self.port, **QUICK))

    def lease(self, name: str) -> str:
        """Hold a slot as a block of `concurrency` does that is killed."""
        self.api.upsert_global_concurrency_limit_by_name(name, limit=1)
        return self.api.increment_concurrency_slots_with_lease(
            [name], slots=1, mode="concurrency", lease_duration=300
        ).json()["lease_id"]

    def limit(self, name: str) -> GlobalConcurrencyLimitResponse:
        return self.api.read_global_concurrency_limit_by_name(name)

    def taken(self, name: str) -> int:
        return self.limit(name).active_slots

    def leases(self) -> list[Path]:
        return list((self.home / "concurrency_leases").glob("*-*.json"))

    def begin(self, name: str) -> SimpleNamespace:
        """Let a run of a deployment with a limit of one be under way."""
        one = ConcurrencyLimitConfig(limit=1, collision_strategy="CANCEL_NEW")
        maps = flow(lambda: None, name="draw-maps").to_deployment(
            name, concurrency_limit=one
        )
        deployment = SimpleNamespace(id=maps.apply())
        deployment.run = self.ask(deployment)
        self.api.set_flow_run_state(deployment.run.id, Running())
        return deployment

    def ask(self, deployment) -> SimpleNamespace:
        """Ask for Pending, as a worker does."""
        run = self.api.create_flow_run_from_deployment(deployment.id)
        state = self.api.set_flow_run_state(run.id, Pending()).state
        return SimpleNamespace(id=run.id, state=state.name)

    def draw_maps(self, patch, restart) -> str:
        """Run the program of the page, with that restart where it waits."""
        said = StringIO()
        with patch.context() as patched, redirect_stdout(said):
            patched.setattr("builtins.input", restart)
            runpy.run_path(str(ROOM / "draw_maps.py"), run_name="__main__")
        return said.getvalue()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """Draw the maps on both sides. The server is there until the end."""
    office = Office(tmp_path_factory.mktemp("office"))

    def forget() -> None:
        office.forgotten = office.lease("map-memory")
        office.ended, office.dead = map(office.begin, ("ended", "dead"))
        office.start("do.toml")

    def keep() -> None:
        office.files = [json.loads(f.read_text()) for f in office.leases()]
        office.kept = office.lease("map-files")
        office.size = office.limit("map-server").limit
        office.start("do.toml")

    patch = pytest.MonkeyPatch()
    with office.server, client_of(office.url) as office.api:
        office.start("dont.toml")
        office.dont = office.draw_maps(patch, forget)
        office.do = office.draw_maps(patch, keep)
        office.held = [office.taken("map-files")]
        office.api.renew_concurrency_lease(office.kept, lease_duration=300)
        office.held.append(office.taken("map-files"))
        office.api.release_concurrency_slots_with_lease(office.kept)
        office.held.append(office.taken("map-files"))
        yield office


def test_slots_stay_taken_if_their_leases_were_in_memory(office, record):
    """By default a server of your own keeps the leases of limits in its memory,
    so after a restart slots stay taken that nobody holds.

    But the number of taken slots is in the database, and the leases are in the
    memory of the server: a restart forgets only the leases. The run ends as if
    nothing had happened, but the new server does not know its lease, so it
    frees nothing, and says nothing.

    A killed program that held a slot when the server was restarted never gives
    it back.

    The restart that brings the new setting also forgets the leases that were
    in memory.
    """
    record(ROOM / "dont.txt", office.dont)
    assert "Slots of map-server still taken: 1" in office.dont
    assert "Slots of tag:map-licence still taken: 1" in office.dont

    with pytest.raises(PrefectHTTPStatusError, match="410 Gone"):
        office.api.renew_concurrency_lease(office.forgotten, lease_duration=300)
    office.api.release_concurrency_slots_with_lease(office.forgotten)
    assert office.taken("map-memory") == 1


def test_files_keep_the_leases(office, record):
    """With this setting they are in files below its `PREFECT_HOME`, in the
    folder `concurrency_leases`, and the server finds them after a restart.
    """
    record(ROOM / "do.txt", office.do)
    assert "Slots of map-server still taken: 0" in office.do
    assert "Slots of tag:map-licence still taken: 0" in office.do
    assert (len(office.files), office.size) == (2, 1)

    assert office.held == [1, 1, 0]


def test_the_slot_of_a_killed_program_is_free_when_its_lease_ends(office):
    """A slot is a lease, which the program that holds it renews. If it is
    killed, the slot is free again when the lease has run out: by default within
    five minutes for a block of `concurrency`, and within one for a task run
    with a limited tag.
    """

    def minutes(lease) -> int:
        ends, began = (
            datetime.fromisoformat(lease[key])
            for key in ("expiration", "created_at")
        )
        return round((ends - began) / timedelta(minutes=1))

    assert sorted(map(minutes, office.files)) == [1, 5]

    office.lease("map-killed")
    assert office.taken("map-killed") == 1
    end_leases(office.home)
    settles(lambda: office.taken("map-killed"), 0)
    assert office.taken("map-memory") == 1


def test_a_strict_block_without_its_lease_is_stopped(office, monkeypatch):
    """A block with `strict=True` notices it when it next renews its lease: the
    server does not know that lease, so the flow run is `Crashed`.
    """
    monkeypatch.setattr(_leases, "_RENEWAL_FRACTION", 0.001)
    monkeypatch.setattr(_leases, "_RENEWAL_RETRY_BASE_DELAY", 0.01)
    office.api.upsert_global_concurrency_limit_by_name("map-strict", limit=1)
    runs = []

    @flow
    def draw_maps() -> None:
        runs.append(flow_run.id)
        with concurrency("map-strict", strict=True):
            for file in office.leases():
                file.unlink()
            for _ in range(600):
                time.sleep(0.1)

    with pytest.raises(asyncio.CancelledError):
        draw_maps()
    state = office.api.read_flow_run(*runs).state
    assert state.name == "Crashed"

    def said() -> bool:
        lost = (
            "Concurrency lease renewal failed - slots are no longer reserved."
        )
        return any(lost in line for line in log_messages(office.api, state))

    settles(said, True)


def test_a_deployment_gets_its_slot_back_when_its_run_ends(office):
    """The limit of a deployment recovers when the run ends that held its slot,
    because the server then frees one without a lease. If that run is dead,
    nobody ends it: set it to `Crashed` yourself.
    """
    for deployment, end in (
        (office.ended, Completed()),
        (office.dead, Crashed()),
    ):
        assert deployment.run.state == "Pending"
        assert office.ask(deployment).state == "Cancelled"
        office.api.set_flow_run_state(deployment.run.id, end)
        assert office.ask(deployment).state == "Pending"


def test_a_command_frees_the_slots(office, tmp_path):
    """When no run holds a slot and it is still taken, free it with
    `prefect gcl update map-server --active-slots 0`, and the slot of a tag with
    `prefect gcl update tag:map-licence --active-slots 0`.
    """
    for name in "map-server", "tag:map-licence":
        office.lease(name)
        assert office.taken(name) == 1
        command = f"prefect gcl update {name} --active-slots 0"
        python(
            *("-m", *command.split()), cwd=tmp_path, PREFECT_API_URL=office.url
        )
        assert office.taken(name) == 0
        office.api.delete_global_concurrency_limit_by_name(name)


def test_redis_keeps_the_leases():
    """`prefect_redis.lease_storage` keeps them in Redis."""
    from prefect_redis.lease_storage import ConcurrencyLeaseStorage

    async def lease_of_another_server() -> list:
        limit = uuid4()
        async with Redis(port=port, decode_responses=True) as client:
            before = ConcurrencyLeaseStorage(client)
            lease = await before.create_lease([limit], timedelta(minutes=5))
        async with Redis(port=port, decode_responses=True) as client:
            after = ConcurrencyLeaseStorage(client)
            return (await after.read_lease(lease.id)).resource_ids == [limit]

    with redis() as port:
        assert asyncio.run(lease_of_another_server())
