import os
import re
from contextlib import contextmanager
from pathlib import Path

import httpx
import prefect
import pytest
from prefect import flow, task

from tests.backend import free_port, serve
from tests.book import ROOT
from tests.observe import log_messages, settles

ROOM = ROOT / "snippets/monitoring/read_the_dashboard"
SERVER = os.environ["PREFECT_API_URL"].removesuffix("/api")
MENU_ENTRY = re.compile(r"isActive:e,.{10,30}`span`,{children:`([^`]+)`")


@contextmanager
def started(script, home, **settings):
    """Run a script of the page, with a free port in the place of its own."""
    port = str(free_port())
    command = (ROOM / script).read_text("utf-8").replace("4480", port)
    environment = os.environ | {"PREFECT_HOME": str(home)} | settings
    if not settings:
        environment.pop("PREFECT_API_URL")
    url = f"http://127.0.0.1:{port}"
    with (
        (home / "server.log").open("w") as log,
        serve(
            [
                "sh",
                "-c",
                command.replace("prefect server", "exec prefect server"),
            ],
            f"{url}/api/health",
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        ),
    ):
        yield url


def api_of_the_dashboard(url):
    return httpx.get(f"{url}/ui-settings").json()["api_url"]


@pytest.fixture(scope="module")
def scripts():
    """What the dashboard is made of, as Prefect ships it."""
    files = Path(prefect.__file__).parent.glob("server/ui-v2/assets/*.js")
    return [file.read_text("utf-8") for file in files]


def test_the_page_of_a_run_has_its_graph_and_its_log(api, scripts):
    """Its state (1), its graph in time (2), and below it one tab for each kind
    of record (3).

    The log line says why (4).
    """

    @task
    def fetch_orders(shop):
        if shop == "lisbon":
            raise ConnectionError(f"{shop} does not answer")
        return ["order-7", "order-8"]

    @task
    def store_orders(orders):
        return len(orders)

    @flow
    def load_shop(shop):
        store_orders(fetch_orders(shop))

    tabs = "Logs", "Task Runs", "Artifacts", "Parameters", "Job Variables"
    assert any(all(f"`{tab}`" in text for tab in tabs) for text in scripts)
    berlin = load_shop("berlin", return_state=True)
    lisbon = load_shop("lisbon", return_state=True)

    def graph():
        run_id = berlin.state_details.flow_run_id
        answer = api.request("GET", f"/flow_runs/{run_id}/graph-v2").json()
        return [
            (node["label"][:-4], len(node["parents"]))
            for _, node in answer["nodes"]
        ]

    settles(graph, [("fetch_orders", 0), ("store_orders", 1)])
    error = "Task run failed with exception: ConnectionError('lisbon does not"
    settles(
        lambda: any(error in line for line in log_messages(api, lisbon)), True
    )


def test_the_menu_leads_to_the_pages(scripts, table):
    """Filter by state, flow, deployment, work pool or tag (1).

    The page "Runs" shows the past 7 days if you choose no other range, and it
    does not search parameters.

    The page "Artifacts" is not in the menu: you get there from the tab of a
    run, or at `/v2/artifacts`.

    Prefect has two dashboards, and these are pictures of the default one, V2.
    """
    for text in (
        *(
            "Search by flow run name",
            "past-7-days",
            "All run states",
            "All flows",
        ),
        *("All deployments", "All work pools", "All tags"),
    ):
        assert any(text in script for script in scripts)
    assert not any("earch by parameter" in script for script in scripts)
    menu = [name for text in scripts for name in MENU_ENTRY.findall(text)]
    assert menu[-1] == "Settings"
    assert "Artifacts" not in menu
    told = httpx.get(f"{SERVER}/ui-settings").json()
    assert told["default_ui"] == "v2"
    assert told["available_uis"] == ["v1", "v2"]
    assert told["v2_base_url"] == "/v2"

    rows = [
        ["What failed since yesterday?", "Dashboard", "the red bars"],
        ["Why did it fail?", "Runs", "the run, tab Logs"],
        ["Which step took the time?", "Runs", "the run, its graph"],
        ["With which values did it run?", "Runs", "the run, tab Parameters"],
        [
            "What did it find?",
            "Runs",
            "the run, tab [Artifacts](publish-artifacts.md)",
        ],
        [
            "Is a worker there to start runs?",
            "Work Pools",
            "the dot beside the name: red, if none asks for work",
        ],
        [
            "Who gets called?",
            "Automations",
            "the [actions](alert-with-automations.md)",
        ],
        ["Which limit is full?", "Concurrency", "the active slots"],
        ["What happened, in order?", "Event Feed", "the events of all runs"],
    ]
    assert {page for _, page, _ in rows} <= {*menu}
    table("pages.md", ["Question", "Page", "Look at (advice)"], rows)


def test_a_port_on_the_command_line_is_unknown_to_the_dashboard(
    scripts, tmp_path
):
    """A server started with `prefect server start --port 4480` names
    `http://127.0.0.1:4200/api`, unless `PREFECT_API_URL` is set where it
    starts.
    """
    with started("dont.sh", tmp_path) as url:
        assert api_of_the_dashboard(url) == "http://127.0.0.1:4200/api"
    named = "http://prefect.example.org/api"
    with started("dont.sh", tmp_path, PREFECT_API_URL=named) as url:
        assert api_of_the_dashboard(url) == named

    message = (
        "The server may be down, starting up, or there may be a network issue."
    )
    assert any(message in script for script in scripts)


def test_the_server_names_the_address_that_it_is_told(tmp_path):
    """The dashboard runs in your browser and asks the API at an address that
    the server names, so it must name one that you can reach.

    Set `PREFECT_UI_API_URL` for the server to the address that your browser can
    reach.
    """
    with started("do.sh", tmp_path) as url:
        told = api_of_the_dashboard(url)
        assert told == "https://prefect.example.org/api"
        page = httpx.get(url, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
