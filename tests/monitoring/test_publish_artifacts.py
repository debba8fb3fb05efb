import json

import pytest
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import MissingResult

UNPAID = [
    {"order": "order-8", "reminders": 0},
    {"order": "order-9", "reminders": 0},
]


def artifacts(api, state, path="/artifacts/filter"):
    """The artifacts of a flow run: key, type and data, sorted."""
    this_run = {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}
    found = api.request("POST", path, json={"artifacts": this_run}).json()
    return sorted((a["key"] or "", a["type"], a["data"]) for a in found)


def test_the_server_has_no_result_of_a_run(dont, api):
    state = dont.find_unpaid_orders(dont.PAID, return_state=True)

    assert state.result() == UNPAID
    run = api.read_flow_run(state.state_details.flow_run_id)
    with pytest.raises(MissingResult, match=r"^State data is missing\."):
        run.state.result()
    assert artifacts(api, state) == []


def test_the_server_has_the_table_the_text_and_the_progress(do, api):
    state = do.find_unpaid_orders(do.PAID, return_state=True)

    assert artifacts(api, state) == [
        ("orders-checked", "progress", 100),
        ("unpaid-orders", "table", json.dumps(UNPAID)),
        (
            "unpaid-orders-summary",
            "markdown",
            "**2 of 3** orders are unpaid.",
        ),
    ]


def test_each_run_adds_a_version_and_the_key_leads_to_the_newest(do, api):
    first = do.find_unpaid_orders(do.PAID, return_state=True)
    second = do.find_unpaid_orders({"order-5": False}, return_state=True)

    assert ("unpaid-orders", "table", json.dumps(UNPAID)) in artifacts(
        api, first
    )
    newest = api.request("GET", "/artifacts/unpaid-orders/latest").json()
    assert newest["flow_run_id"] == str(second.state_details.flow_run_id)
    assert json.loads(newest["data"]) == [{"order": "order-5", "reminders": 0}]


def test_an_artifact_without_a_key_is_found_only_through_its_run(api):
    @flow
    def publish():
        create_markdown_artifact("2 of 3")

    state = publish(return_state=True)

    assert artifacts(api, state) == [("", "markdown", "2 of 3")]
    assert artifacts(api, state, "/artifacts/latest/filter") == []


def test_a_key_has_only_lowercase_letters_numbers_and_dashes():
    with pytest.raises(
        ValueError,
        match="Artifact key must only contain lowercase letters, numbers, and"
        " dashes",
    ):
        create_markdown_artifact("2 of 3", key="unpaid_orders")
