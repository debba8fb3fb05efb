import os
from pathlib import Path

import httpx
import prefect
from prefect.client.schemas.filters import FlowRunFilter

from tests.observe import log_messages, settles

DAY = "2026-11-20"


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


def test_a_run_without_a_name_is_not_found_by_what_it_worked_on(dont, api):
    states = load(dont)

    assert [state.name for state in states] == ["Completed", "Failed"]
    assert dont.search(states, name={"like_": "lisbon"}) == 0
    assert not [name for name in names(api, states) if DAY in name]


def test_a_name_and_tags_lead_to_the_run(do, api):
    with do.tags("night"):
        states = load(do)

    assert names(api, states) == ["berlin 2026-11-20", "lisbon 2026-11-20"]
    assert do.search(states, name={"like_": "lisbon"}) == 1
    assert do.search(states, tags={"all_": ["night"]}) == 2


def test_the_page_of_a_run_has_its_graph_and_its_log(do, api):
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


def test_a_port_on_the_command_line_is_unknown_to_the_dashboard():
    server = os.environ["PREFECT_API_URL"]  # started with --port
    told = httpx.get(f"{server.removesuffix('/api')}/ui-settings").json()
    assert told["api_url"] == "http://127.0.0.1:4200/api" != server

    scripts = Path(prefect.__file__).parent.glob("server/ui-v2/assets/*.js")
    message = (
        "The server may be down, starting up, or there may be a network issue."
    )
    assert any(message in script.read_text("utf-8") for script in scripts)
