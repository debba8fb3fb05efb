import asyncio
import logging
import os
import re
import socket
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.deployments import run_deployment
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogWorker
from prefect.runner import Runner
from prefect.settings import (
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_RUNNER_POLL_FREQUENCY,
    PREFECT_WORKER_QUERY_SECONDS,
    temporary_settings,
)
from prefect.variables import Variable
from prefect.workers.process import ProcessWorker

from tests.observe import client_of, log_messages, settles
from tests.programs import python

NAME = "what-a-run-costs"
PRICE = "price_of_an_hour"
HOURS = [*range(1, 21)]
REFUSED = b'{"detail": "Orchestration API rate limit reached"}'
REFUSED_TEXT = "Response: {'detail': 'Orchestration API rate limit reached'}"


class Gate(ThreadingHTTPServer):
    """A way to the server that counts requests, and can refuse some.

    Attributes:
        seen: The addresses that were asked.
        websockets: The same, of what is no request but a connection.
        refuses: With which status it answers an address, or None.
        retry_after: After how many seconds it lets a client ask again.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Passing)
        self.server = urlsplit(os.environ["PREFECT_API_URL"])
        self.address = (self.server.hostname, self.server.port)
        self.url = f"http://127.0.0.1:{self.server_port}/api"
        self.seen, self.websockets = [], []
        self.refuses = lambda path: None
        self.retry_after = "0.05"

    def count(self, part):
        return sum(part in path for path in self.seen)


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if "Upgrade" in self.headers:  # the websocket that carries events
            return self.tunnel()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        gate = self.server
        gate.seen.append(self.path)
        if status := gate.refuses(self.path):
            return self.reply(
                status, {"Retry-After": gate.retry_after}, REFUSED
            )
        server = HTTPConnection(*gate.address)
        kind = {"Content-Type": self.headers.get("Content-Type", "")}
        server.request(self.command, self.path, body, kind)
        answer = server.getresponse()
        self.reply(answer.status, {}, answer.read())
        server.close()

    do_POST = do_PATCH = do_DELETE = do_GET

    def reply(self, status, headers, body):
        self.send_response(status)
        if status != 204:
            headers |= {"Content-Length": len(body)}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def tunnel(self):
        self.server.websockets.append(self.path)
        server = socket.create_connection(self.server.address)
        server.sendall(f"{self.requestline}\r\n{self.headers}".encode())
        ends = (server, self.connection)
        Thread(target=self.carry, args=ends, daemon=True).start()
        self.carry(*reversed(ends))
        self.close_connection = True

    @staticmethod
    def carry(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass


@pytest.fixture
def gate():
    gate = Gate()
    Thread(target=gate.serve_forever, args=[0.05], daemon=True).start()
    with client_of(gate.url):
        yield gate
    gate.shutdown()
    gate.server_close()


@pytest.fixture
def price(api):
    Variable.set(PRICE, 120, overwrite=True)
    yield
    Variable.unset(PRICE)


@pytest.fixture
def meter(monkeypatch):
    """Let only the programs of this test count what httpx logs."""
    logger = logging.getLogger("httpx")
    monkeypatch.setattr(logger, "filters", [])
    yield lambda: sys.modules["meter"].requests
    logger.setLevel(logging.NOTSET)


def test_each_task_reads_the_variable_again(price, meter, gate, dont):
    """The states of a task run go as events, over one websocket, and its log
    lines are sent together with others. Here each of the 20 tasks asks for the
    same variable.
    """
    assert sum(dont.bill_all(HOURS)) == 25200
    requests = meter()
    assert (requests["variables"], requests["task_runs"]) == (20, 0)
    assert requests["flow_runs"] == 4
    assert gate.websockets == ["/api/events/in"]
    settles(lambda: gate.count("/logs/") in range(1, 20), True)
    settles(lambda: sum(requests.values()) - len(gate.seen), 0)


def test_the_flow_reads_it_once(price, meter, do, caplog):
    """The flow asks once, and each task gets the price as an argument."""
    assert sum(do.bill_all(HOURS)) == 25200
    assert meter()["variables"] == 1
    assert "HTTP Request" not in caplog.text
    meter().clear()
    workspace = "https://api.prefect.cloud/api/accounts/1/workspaces/2"
    for url in f"{workspace}/flows/3", "http://127.0.0.1/api/v2/limits/4":
        logging.getLogger("httpx").info("%s %s", "GET", url)
    assert dict(meter()) == {"flows": 1, "limits": 1}


def test_one_setting_shows_each_request(gate, tmp_path):
    """Set `PREFECT_LOGGING_ROOT_LEVEL=INFO` in front of any command that uses
    Prefect, and it prints a line with `HTTP Request:` for each.
    """
    read = tmp_path / "read.py"
    read.write_text(
        "from prefect.variables import Variable\nVariable.get('no_price')"
    )
    shown = python(
        read,
        cwd=tmp_path,
        PREFECT_API_URL=gate.url,
        PREFECT_LOGGING_ROOT_LEVEL="INFO",
    )
    assert "/api/variables/name/no_price" in gate.seen
    assert shown.stderr.count("HTTP Request: ") == len(gate.seen)


@flow
def child():
    pass


@contextmanager
def on_the_server(api):
    """What the tasks of the table ask for."""
    limits = {f"{NAME}-rate": 1000.0, f"{NAME}-slots": 0.0}
    for name, decay in limits.items():
        api.upsert_global_concurrency_limit_by_name(name, 10, decay)
    api.create_concurrency_limit(f"{NAME}-tag", 10)
    block = Secret(value="x").save(f"{NAME}-secret", overwrite=True)
    deployment = child.to_deployment(NAME).apply()
    yield
    for name in limits:
        api.delete_global_concurrency_limit_by_name(name)
    api.delete_concurrency_limit_by_tag(f"{NAME}-tag")
    api.delete_block_document(block)
    api.delete_deployment(deployment)


def test_what_asks_the_api_and_how_often(api, gate, meter, price, do, table):
    """A task run alone sends no request, but what it uses does: one for a
    variable or a block, four for a slot of a limit, eight for a subflow.
    """

    def renewed():
        settles(lambda: gate.count("renew"), 1)

    def slot():
        with concurrency(f"{NAME}-slots", strict=True):
            renewed()

    @task
    def work(what):
        what()

    tagged = work.with_options(tags=[f"{NAME}-tag"])
    cases = {
        "nothing of this": lambda: work(str),
        "`Variable.get`": lambda: work(lambda: Variable.get(PRICE)),
        "`Secret.load`": lambda: work(lambda: Secret.load(f"{NAME}-secret")),
        "`create_markdown_artifact`": lambda: work(
            lambda: create_markdown_artifact("Done.")
        ),
        "`rate_limit`": lambda: work(lambda: rate_limit(f"{NAME}-rate")),
        "`concurrency`": lambda: work(slot),
        "a tag that has a limit": lambda: tagged(renewed),
        "a call of a flow": lambda: work(child),
        "`run_deployment(timeout=0)`": lambda: work(
            lambda: run_deployment(f"child/{NAME}", timeout=0)
        ),
    }
    rows = []

    @flow
    def ask():
        for case, use in cases.items():
            for _ in "12":  # the first time, a process asks more
                gate.seen.clear()
                use()
            asked = Counter(
                about.search(path)[1]
                for path in gate.seen
                if asked_each_time(path)
            )
            rows.append([case, f"{asked.total()}", listed(asked) or "nothing"])

    about = sys.modules["meter"].ABOUT
    with (
        on_the_server(api),
        temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        ask()
    counts = [int(count) for _, count, _ in rows]
    assert counts == [0, 1, 1, 1, 1, 4, 4, 8, 3]
    table("requests.md", ["In each task", "Requests", "To"], rows)


def asked_each_time(path):
    """Not what the thread that sends events asks, once for each flow."""
    return "/admin/version" not in path and not re.search("/flows/.", path)


def listed(asked):
    return ", ".join(
        f"`{name}` ({count})" if count > 1 else f"`{name}`"
        for name, count in sorted(asked.items())
    )


def test_a_client_asks_for_a_token_that_the_server_does_not_need(gate):
    """A client asks for a CSRF token even if the server needs none, unless you
    set `PREFECT_CLIENT_CSRF_SUPPORT_ENABLED=false`.
    """
    for wanted in True, False:
        gate.seen.clear()
        with temporary_settings({PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: wanted}):
            rate_limit(f"{NAME}-{wanted}")
        assert gate.count("/csrf-token") == wanted
        assert gate.count("/increment") == 1


def test_a_wait_for_a_slot_asks_again(gate):
    """If no slot is free, each question is one more request."""
    left = [423, 423]
    gate.refuses = lambda path: "increment" in path and left and left.pop()
    rate_limit("no-such-limit")
    assert gate.count("/increment") == 3


def test_the_client_waits_and_asks_again(price, gate, caplog, monkeypatch):
    """Prefect's client waits as long as the header `Retry-After` of the answer
    says, or up to 20 % longer, and asks again, up to five times:
    `PREFECT_CLIENT_MAX_RETRIES`. It logs that at `DEBUG` only, so what you see
    is a slow run.
    """
    waits = []
    clock = SimpleNamespace(sleep=waits.append)
    monkeypatch.setattr("prefect.client.base.time", clock)
    caplog.set_level("DEBUG", "prefect.client")
    gate.retry_after = "30"
    gate.refuses = lambda path: 429 if len(waits) < 5 else None
    assert Variable.get(PRICE) == 120
    assert len(waits) == 5 and min(waits) >= 30 and max(waits) <= 36
    said = (
        "Received response with retryable status code 429. Another attempt will"
        " be made in"
    )
    levels = {n.levelname for n in caplog.records if said in n.message}
    assert levels == {"DEBUG"}

    gate.refuses = lambda path: 429
    for retries in 5, 7:
        gate.seen.clear()
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: retries}),
            pytest.raises(PrefectHTTPStatusError) as refused,
        ):
            Variable.get(PRICE)
        assert len(gate.seen) == retries + 1
    assert "Client error '429 Too Many Requests' for url" in str(refused.value)
    assert REFUSED_TEXT in str(refused.value)


@pytest.fixture
def no_waits(monkeypatch):
    clock = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("prefect.client.base.time", clock)


def test_a_refused_read_fails_the_task(gate, no_waits):
    """After that the request fails. In a task, the task run is `Failed`."""
    gate.refuses = lambda path: "/variables/" in path and 429
    state = task(Variable.get)(PRICE, return_state=True)
    assert state.is_failed() and REFUSED_TEXT in state.message


def test_a_run_whose_end_is_refused_stays_running(gate, api, caplog, no_waits):
    """If it is the request that ends the flow run, the work is done, but the
    run stays `Running` on the server.
    """
    done = []

    @flow
    def bill_all():
        done.append(1)
        gate.refuses = lambda path: "/set_state" in path and 429

    with pytest.raises(PrefectHTTPStatusError):
        bill_all()
    assert done == [1]
    assert "Finished in state Running()" in caplog.text
    (run_id,) = {p.split("/")[3] for p in gate.seen if "/set_state" in p}
    assert api.read_flow_run(run_id).state_name == "Running"


def test_refused_log_lines_are_lost(gate, api, capsys):
    """Log lines that are refused are lost, and the run goes on."""

    @flow
    def bill_all():
        pass

    gate.refuses = lambda path: "/logs/" in path and 429
    state = bill_all(return_state=True)
    APILogWorker.drain_all()
    assert state.is_completed() and gate.count("/logs/") == 6
    assert "--- Error logging to API ---" in capsys.readouterr().err
    gate.refuses = lambda path: None
    assert log_messages(api, state) == []


def test_what_waits_for_work_asks_all_the_time(api, gate, tmp_path):
    """A worker and a served process ask every ten seconds whether there is
    work: `PREFECT_WORKER_QUERY_SECONDS` and `PREFECT_RUNNER_POLL_FREQUENCY`.
    """
    assert PREFECT_WORKER_QUERY_SECONDS.value() == 10
    assert PREFECT_RUNNER_POLL_FREQUENCY.value() == 10
    api.create_work_pool(WorkPoolCreate(name=NAME, type="process"), True)
    deployment = child.to_deployment(NAME).apply()
    try:
        asyncio.run(ProcessWorker(NAME).start(run_once=True))
        assert gate.count(f"{NAME}/get_scheduled_flow_runs") == 1
        runner = Runner(pause_on_shutdown=False)
        asyncio.run(runner.start(run_once=True))
    finally:
        api.delete_work_pool(NAME)
        api.delete_deployment(deployment)
    assert gate.count("deployments/get_scheduled_flow_runs") == 1
