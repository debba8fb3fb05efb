import os
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from shutil import copy
from subprocess import Popen
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from prefect import flow
from prefect.settings import (
    PREFECT_API_URL,
    get_current_settings,
    temporary_settings,
)
from prefect.settings.models.server import ServerSettings
from prefect.states import Crashed, Failed, Scheduled
from prometheus_client import generate_latest

from tests.backend import patient, prefect_server
from tests.book import ROOT
from tests.observe import client_of, settles

# dont.yaml, do.yaml, prefect.toml and runs_exporter.py
ROOM = ROOT / "snippets/monitoring/expose_metrics"
DONT, DO, RUNS = (
    job
    for config in ("dont.yaml", "do.yaml")
    for job in yaml.safe_load((ROOM / config).read_text())["scrape_configs"]
)


@flow
def load_orders() -> None:
    pass


@pytest.fixture(scope="module")
def server_with_metrics(tmp_path_factory):
    """A server with a password, started in the folder of prefect.toml."""
    home = tmp_path_factory.mktemp("server")
    password = {"PREFECT_SERVER_API_AUTH_STRING": "admin:example"}
    copy(ROOM / "prefect.toml", home)
    with prefect_server(home, **password) as url:
        yield url


def scrape(job, server=None, password="example"):
    """Ask as Prometheus would with this part of its configuration."""
    (target,) = job["static_configs"][0]["targets"]
    user = job.get("basic_auth", {}).get("username")
    path = job.get("metrics_path", "/metrics")
    return httpx.get(
        f"http://{urlsplit(server).netloc if server else target}{path}",
        auth=(user, password) if user and password else None,
        timeout=patient(20),
    )


def test_a_server_has_no_metrics_until_a_setting_says_so(monkeypatch):
    """Prefect has its metrics at `/api/metrics`, and the server creates that
    address only if a setting says so. So a server with default settings answers
    404 at both addresses.

    The environment variable `PREFECT_SERVER_METRICS_ENABLED=true` does the
    same.
    """
    for job in DONT, DO:
        answer = scrape(job, os.environ["PREFECT_API_URL"])
        assert answer.status_code == 404
        assert answer.text == '{"detail":"Not Found"}'

    monkeypatch.setenv("PREFECT_SERVER_METRICS_ENABLED", "true")
    assert ServerSettings().metrics_enabled


def test_the_metrics_are_part_of_the_api_and_behind_its_password(
    server_with_metrics,
):
    """Put this file into the folder in which you start the server.

    If the server has a password, its metrics are behind it as well, and a
    scrape without it gets 401.
    """
    assert scrape(DONT, server_with_metrics).status_code == 404
    for password in None, "wrong":
        answer = scrape(DO, server_with_metrics, password)
        assert answer.status_code == 401
        assert answer.text == '{"exception_message":"Unauthorized"}'
    assert scrape(DO, server_with_metrics).status_code == 200
    port = get_current_settings().server.api.port
    assert DO["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
    assert DO["job_name"] == DONT["job_name"] != RUNS["job_name"]
    assert DO["basic_auth"].keys() == {"username", "password_file"}


def test_the_metrics_describe_the_server_and_not_the_runs(server_with_metrics):
    """You get the memory, files and processor time of the server's process
    (`process_resident_memory_bytes`, `process_open_fds`,
    `process_cpu_seconds_total`), and counters of events and of the connections
    of workers. You do not get a number of flow runs.

    The metrics of a server say how much memory and how many files it uses, but
    they are off by default.
    """
    with client_of(server_with_metrics, "admin:example") as api:
        api.create_flow_run(load_orders, state=Failed())

    metrics = scrape(DO, server_with_metrics).text
    for name in (
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
        "prefect_events_emitted_total",
        "prefect_worker_channel_connections_total",
    ):
        assert f"# TYPE {name} " in metrics
    assert "flow_run" not in metrics
    assert "task_run" not in metrics


def test_the_exporter_counts_the_runs_that_were_due(server_with_metrics):
    """`http://127.0.0.1:9201/metrics` then has a line such as
    `prefect_runs_due{state_type="CRASHED"} 2.0`. It counts only the runs that
    were due in the past hour, so an alert on it ends by itself. Runs that are
    late have the type `SCHEDULED`.
    """
    server = {
        "PREFECT_API_URL": server_with_metrics,
        "PREFECT_API_AUTH_STRING": "admin:example",
    }
    now = datetime.now(UTC)
    with client_of(server_with_metrics, "admin:example") as api:
        for minutes in -61, -59, 5:
            due = now + timedelta(minutes=minutes)
            api.create_flow_run(
                load_orders, state=Scheduled(scheduled_time=due)
            )
        for _ in range(2):
            api.create_flow_run(load_orders, state=Crashed())

    def told():
        try:
            lines = scrape(RUNS).text.splitlines()
        except httpx.ConnectError:
            return []
        return [line for line in lines if line in expected]

    expected = [
        "prefect_up 1.0",
        'prefect_runs_due{state_type="SCHEDULED"} 1.0',
        'prefect_runs_due{state_type="CRASHED"} 2.0',
    ]
    exporter = Popen(
        [sys.executable, ROOM / "runs_exporter.py"], env=os.environ | server
    )
    try:
        settles(told, expected)
    finally:
        exporter.kill()
        exporter.wait()


def test_the_exporter_survives_an_outage_of_the_server(monkeypatch):
    """If the API does not answer, the exporter goes on. It says
    `prefect_up 0.0` and leaves the counts out.
    """
    monkeypatch.syspath_prepend(ROOM)
    exporter = import_module("runs_exporter")
    exporter.measure()
    assert "prefect_runs_due{" in generate_latest().decode()

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        exporter.measure()

    assert "prefect_up 0.0" in generate_latest().decode()
    assert "prefect_runs_due{" not in generate_latest().decode()
