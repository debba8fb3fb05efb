import os
import re
from pathlib import Path

import httpx
import prefect
import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import Settings

from tests.observe import log_messages, settles

DAY = "2026-11-20"
SERVER = os.environ["PREFECT_API_URL"].removesuffix("/api")
MENU_ENTRY = re.compile(r"isActive:e,.{10,30}`span`,{children:`([^`]+)`")


def load(program):
    """Load two shops, one of which does not answer."""
    return [
        program.load_shop(shop, DAY, return_state=True)
        for shop in ("berlin", "lisbon")
    ]


def names(api, states):
    ids = [state.state_details.flow_run_id for state in states]
    runs = api.read_flow_runs(
        flow_run_filter=FlowRunFilter(id={"any_": ids}), sort="NAME_ASC"
    )
    return [run.name for run in runs]


@pytest.fixture(scope="module")
def scripts():
    """What the dashboard is made of, as Prefect ships it."""
    files = Path(prefect.__file__).parent.glob("server/ui-v2/assets/*.js")
    return [file.read_text("utf-8") for file in files]


def test_a_run_without_a_name_is_not_found_by_what_it_worked_on(dont, api):
    """The dashboard finds a run by its name and its tags; if you give neither,
    the name is two random words.

    It does not search parameters. `shop` and `day` are parameters, so nothing
    that you know of the run leads to it.
    """
    states = load(dont)

    assert [state.name for state in states] == ["Completed", "Failed"]
    assert dont.search(states, name={"like_": "lisbon"}) == 0
    assert dont.search(states, name={"like_": DAY}) == 0
    assert dont.search(states, tags={"any_": ["lisbon", DAY]}) == 0
    for name in names(api, states):
        assert re.fullmatch("[a-z]+-[a-z]+", name)


def test_a_name_and_tags_lead_to_the_run(do, api):
    """Name the run after what it works on, and tag it with what you will filter
    by.
    """
    with do.tags("night"):
        states = load(do)

    assert names(api, states) == ["berlin 2026-11-20", "lisbon 2026-11-20"]
    assert do.search(states, name={"like_": "lisbon"}) == 1
    assert do.search(states, tags={"all_": ["night"]}) == 2


def test_the_page_of_a_run_has_its_graph_and_its_log(do, api, scripts):
    """The run's page has its graph in time and, below it, one tab for each kind
    of record:
    """
    tabs = "Logs", "Task Runs", "Artifacts", "Parameters", "Job Variables"
    assert any(all(f"`{tab}`" in text for tab in tabs) for text in scripts)
    berlin, lisbon = load(do)

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
    """The page "Runs" searches names and filters by state, flow, deployment,
    work pool and tag, over the past 7 days if you choose no other range.

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
    scripts, monkeypatch
):
    """A server started with `prefect server start --port 4480` gives
    `http://127.0.0.1:4200/api`, unless `PREFECT_API_URL` is set where it
    starts.

    Set `PREFECT_UI_API_URL` for the server to the address that your browser can
    reach.
    """
    told = httpx.get(f"{SERVER}/ui-settings").json()  # started with --port
    assert told["api_url"] == "http://127.0.0.1:4200/api" != f"{SERVER}/api"
    for name in "PREFECT_API_URL", "PREFECT_UI_API_URL":
        address = f"http://prefect.example.org/{name}"
        monkeypatch.setenv(name, address)
        assert Settings().server.ui.api_url == address

    message = (
        "The server may be down, starting up, or there may be a network issue."
    )
    assert any(message in script for script in scripts)
