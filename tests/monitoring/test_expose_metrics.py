import os
from importlib import import_module
from shutil import copy
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    temporary_settings,
)
from prefect.states import Failed
from prometheus_client import REGISTRY

from tests.backend import patient, prefect_server
from tests.book import ROOT

# dont.yaml, do.yaml, prefect.toml and runs_exporter.py
ROOM = ROOT / "snippets/monitoring/expose_metrics"


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


def scrape(config: str, server: str, password: str = "example"):
    """Ask a server as Prometheus would with this configuration."""
    (job,) = yaml.safe_load((ROOM / config).read_text())["scrape_configs"]
    user = job.get("basic_auth", {}).get("username")
    path = job.get("metrics_path", "/metrics")
    return httpx.get(
        f"http://{urlsplit(server).netloc}{path}",
        auth=(user, password) if user else None,
        timeout=patient(20),
    )


def test_a_server_has_no_metrics_until_a_setting_says_so():
    for config in "dont.yaml", "do.yaml":
        answer = scrape(config, os.environ["PREFECT_API_URL"])
        assert answer.status_code == 404
        assert answer.text == '{"detail":"Not Found"}'


def test_the_metrics_are_part_of_the_api_and_behind_its_password(
    server_with_metrics,
):
    assert scrape("dont.yaml", server_with_metrics).status_code == 404
    wrong = scrape("do.yaml", server_with_metrics, password="wrong")
    assert wrong.status_code == 401
    assert wrong.text == '{"exception_message":"Unauthorized"}'
    assert scrape("do.yaml", server_with_metrics).status_code == 200


def test_the_metrics_describe_the_server_and_not_the_runs(server_with_metrics):
    this_server = {
        PREFECT_API_URL: server_with_metrics,
        PREFECT_API_AUTH_STRING: "admin:example",
    }
    with temporary_settings(this_server), get_client(sync_client=True) as api:
        api.create_flow_run(load_orders, state=Failed())

    metrics = scrape("do.yaml", server_with_metrics).text
    assert "\nprocess_resident_memory_bytes " in metrics
    assert "\nprocess_open_fds " in metrics
    assert "flow_run" not in metrics
    assert "task_run" not in metrics


def test_the_exporter_counts_the_runs_by_state(api, monkeypatch):
    monkeypatch.syspath_prepend(ROOM)
    api.create_flow_run(load_orders, state=Failed())

    import_module("runs_exporter").measure()

    failed = {"state_type": "FAILED"}
    assert REGISTRY.get_sample_value("prefect_flow_runs", failed) >= 1
