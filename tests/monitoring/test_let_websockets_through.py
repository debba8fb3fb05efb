import asyncio
import os
import re
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from uuid import uuid4

import httpx
import pytest
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.flow_runs import wait_for_flow_run
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_worker import TaskWorker
from prefect.workers.process import ProcessWorker
from websockets.exceptions import InvalidStatus

from tests.backend import free_port, nginx
from tests.book import ROOT
from tests.observe import client_of, log_messages, settles, task_runs
from tests.programs import python

ROOM = ROOT / "snippets/monitoring/let_websockets_through"
SERVER = os.environ["PREFECT_API_URL"]
TROUBLE = r" \| (?:WARNING|ERROR) .*(?:Unable to connect|failed with)"
SHOPS = [("load_shop", "Completed", 1)] * 3


@contextmanager
def behind(proxy, home, port=None):
    """Run nginx with a file of the page, at addresses of this machine."""
    port = port or free_port()
    site = (ROOM / proxy).read_text("utf-8")
    for shown, own in {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "server_name prefect.example.org;": "server_name 127.0.0.1;",
        "http://127.0.0.1:4200": SERVER.removesuffix("/api"),
    }.items():
        assert shown in site
        site = site.replace(shown, own)
    home.mkdir(exist_ok=True)
    with nginx(home, site, port):
        yield f"http://127.0.0.1:{port}/api"


def newest_run(api):
    """The last run of the program, as `task_runs` takes it."""
    found = api.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["load-shops"])),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    details = SimpleNamespace(flow_run_id=found[0].id)
    return SimpleNamespace(name=found[0].state_name, state_details=details)


def answers(home):
    """With which status a proxy answered requests for the websocket."""
    log = (home / "access.log").read_text("utf-8")
    return re.findall(r'"GET /api/events/in HTTP/1.1" (\d+)', log)


def run(name, url):
    ended = python(ROOM / name, cwd=ROOM, PREFECT_API_URL=url)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_a_proxy_that_passes_only_http_on_loses_the_task_runs(
    tmp_path, api, record
):
    """Task runs reach the server over a websocket, so a proxy that lets only
    HTTP through loses them, and no run fails.

    The client sends task runs as events over a websocket, which it opens at
    `/api/events/in`.

    So the server gets an ordinary request for a page that it does not have,
    and answers 404. The client does not ask again, and drops what it holds.

    The output of the process has two lines about it, and the log of the run on
    the server has none.

    Whatever your proxy is, its log must have status 101 for
    `GET /api/events/in`.
    """

    @flow(name="load-shops")
    def older_run():
        pass

    @flow
    def load_nothing():
        pass

    for _ in range(20):  # so that the newest run is not found by chance
        api.create_flow_run(older_run, state=Completed())
    assert httpx.get(f"{SERVER}/events/in").status_code == 404
    with behind("dont.conf", tmp_path / "dont") as url:
        done = run("load_shops.py", url)
        asked = run("ask_server.py", url)
    assert answers(tmp_path / "dont") == ["404"]
    lost = newest_run(api)
    assert lost.name == "Completed"
    assert "Unable to connect to 'ws://" in done.stderr
    assert "server rejected WebSocket connection: HTTP 404" in done.stderr
    assert "Service 'EventsWorker' failed with" in done.stderr
    assert len(re.findall(TROUBLE, done.stderr)) == 2
    record(ROOM / "dont.txt", done.stdout + asked.stdout)

    with behind("do.conf", tmp_path / "do") as url:
        done = run("load_shops.py", url)
        settles(lambda: task_runs(api, newest_run(api)), SHOPS)
        load_nothing()
        asked = run("ask_server.py", url)
    assert {*answers(tmp_path / "do")} == {"101"}
    assert not re.search(TROUBLE, done.stderr)
    record(ROOM / "do.txt", done.stdout + asked.stdout)

    # What was sent later is there, so what is not there now will not come.
    assert task_runs(api, lost) == []
    settles(lambda: len(log_messages(api, lost)), 5)
    assert "websocket" not in str(log_messages(api, lost))


def test_what_arrives_without_websockets(tmp_path, api, table):
    """What travels over HTTP still arrives, so the run looks healthy:"""
    name = f"websockets-{uuid4().hex}"
    resource = {"prefect.resource.id": name}

    @task
    def count_orders():
        return 3

    @flow
    def report_orders():
        get_run_logger().info("Counting")
        create_markdown_artifact("3", key="orders-behind-a-proxy")
        emit_event("orders.counted", resource)
        return count_orders()

    async def run_background_tasks():
        await TaskWorker(count_orders).start()

    async def start_worker():
        async with ProcessWorker(work_pool_name=name) as worker:
            await worker.sync_with_backend()

    def ask(path, **filters):
        return api.request("POST", path, json=filters).json()

    def events():
        only = {"any_resource": {"id": [name]}}
        found = ask("/events/filter", filter=only)["events"]
        return [event["event"] for event in found]

    ask("/work_pools/", name=name, type="process")
    with behind("dont.conf", tmp_path) as url, client_of(url):
        state = report_orders(return_state=True)
        run_id = state.state_details.flow_run_id
        APILogHandler().flush()
        with pytest.raises(InvalidStatus, match="HTTP 404"):
            asyncio.run(wait_for_flow_run(run_id))
        with pytest.raises(ExceptionGroup) as ended:
            asyncio.run(run_background_tasks())
        asyncio.run(start_worker())
    assert [*map(type, ended.value.exceptions)] == [InvalidStatus]
    with client_of(SERVER):
        emit_event("orders.later", resource)
        settles(lambda: "orders.later" in events(), True)

    mine = {"artifacts": {"flow_run_id": {"any_": [str(run_id)]}}}
    arrived = {
        "the state of the flow run": api.read_flow_run(run_id).state_name
        == "Completed",
        "its log": "Counting" in log_messages(api, state),
        "its artifacts": len(ask("/artifacts/filter", **mine)) == 1,
        "the heartbeat of a worker": len(
            ask(f"/work_pools/{name}/workers/filter")
        )
        == 1,
        "its task runs": task_runs(api, state) != [],
        "events that your code emits": "orders.counted" in events(),
    }
    api.request("DELETE", f"/work_pools/{name}")
    assert [*arrived.values()] == [True] * 4 + [False] * 2
    rows = [[what, "yes" if seen else "no"] for what, seen in arrived.items()]
    table(
        "arrives.md",
        ["What", "It arrives behind ✗ dont.conf"],
        [
            *rows,
            ["`wait_for_flow_run`", "no: it raises `InvalidStatus`"],
            [
                "a worker of background tasks",
                "no: it ends with `InvalidStatus`",
            ],
        ],
    )


def test_a_connection_that_was_cut_is_opened_again(tmp_path, api):
    """A proxy may be restarted while flows run: the client connects again, and
    the task runs arrive.
    """
    port, first, second = free_port(), ExitStack(), ExitStack()

    @task
    def load_day(day):
        return day

    def days_recorded():
        details = SimpleNamespace(flow_run_id=flow_run.id)
        return len(task_runs(api, SimpleNamespace(state_details=details)))

    @flow
    def load_days():
        load_day("monday")
        settles(days_recorded, 1)
        first.close()
        second.enter_context(behind("do.conf", tmp_path / "second", port))
        load_day("tuesday")

    with first, second:
        url = first.enter_context(behind("do.conf", tmp_path / "first", port))
        with client_of(url):
            state = load_days(return_state=True)
    assert {*answers(tmp_path / "second")} == {"101"}
    settles(lambda: task_runs(api, state), [("load_day", "Completed", 1)] * 2)
