import json

import pytest
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import MissingResult
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

UNPAID = [
    {"order": "order-8", "reminders": 0},
    {"order": "order-9", "reminders": 0},
]


def artifacts(api, path="/artifacts/filter", **what):
    """The artifacts that a filter finds: key, type and data, sorted."""
    found = api.request("POST", path, json={"artifacts": what}).json()
    return sorted((a["key"] or "", a["type"], a["data"]) for a in found)


def of(state):
    """The part of a filter that asks for the artifacts of a flow run."""
    return {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}


def test_the_server_has_no_result_of_a_run(dont, api):
    """The server stores that the run is `Completed`. It does not store what the
    run returned: that value lives in the process that called the flow. A
    persisted result does not change it. Then the value is in a file of the
    result storage, for your code and not for a reader.
    """
    state = dont.find_unpaid_orders(dont.PAID, return_state=True)

    assert state.result() == UNPAID
    run = api.read_flow_run(state.state_details.flow_run_id)
    assert run.state.name == "Completed"
    with pytest.raises(MissingResult, match=r"^State data is missing\."):
        run.state.result()
    assert artifacts(api, **of(state)) == []

    persisting = dont.find_unpaid_orders.with_options(persist_result=True)
    state = persisting(dont.PAID, return_state=True)
    run_id = state.state_details.flow_run_id
    answer = api.request("GET", f"/flow_runs/{run_id}").json()
    assert "storage_key" in json.dumps(answer["state"])
    assert "reminders" not in json.dumps(answer)
    (file,) = PREFECT_LOCAL_STORAGE_PATH.value().iterdir()
    assert file.is_file()


def test_the_server_has_the_table_the_text_and_the_progress(
    do, dont, api, monkeypatch
):
    """What a flow returns stays in its process; an artifact is stored by the
    server, where people look for it.

    `update_progress_artifact` overwrites the one that the run has, so you can
    follow a run that is still at work.
    """
    update, seen = do.update_progress_artifact, []

    def follow(artifact_id, progress):
        seen.append(artifacts(api, id={"any_": [str(artifact_id)]}))
        update(artifact_id, progress)

    monkeypatch.setattr(do, "update_progress_artifact", follow)
    state = do.find_unpaid_orders(do.PAID, return_state=True)

    assert [int(data) for [(_, _, data)] in seen] == [0, 33, 66]
    assert artifacts(api, **of(state)) == [
        ("orders-checked", "progress", 100),
        ("unpaid-orders", "table", json.dumps(UNPAID)),
        (
            "unpaid-orders-summary",
            "markdown",
            "**2 of 3** orders are unpaid.",
        ),
    ]
    table = api.request("GET", "/artifacts/unpaid-orders/latest").json()
    assert table["description"] == "To be reminded today."
    state = dont.find_unpaid_orders(dont.PAID, return_state=True)
    assert artifacts(api, **of(state)) == []


def test_each_run_adds_a_version_and_the_key_leads_to_the_newest(do, api):
    """Every `create_...` adds a version under its key.

    The address `/api/artifacts/unpaid-orders/latest` has the newest version for
    your programs. The `data` of a table is a string, with the rows as JSON.
    """
    first = do.find_unpaid_orders(do.PAID, return_state=True)
    second = do.find_unpaid_orders({"order-5": False}, return_state=True)

    assert ("unpaid-orders", "table", json.dumps(UNPAID)) in artifacts(
        api, **of(first)
    )
    newest = api.request("GET", "/artifacts/unpaid-orders/latest").json()
    assert newest["flow_run_id"] == str(second.state_details.flow_run_id)
    assert json.loads(newest["data"]) == [{"order": "order-5", "reminders": 0}]


def test_an_artifact_without_a_key_is_found_only_through_its_run(api):
    """Leave the key out for something that is of interest only beside its run.
    The artifact is then on the run's page, but not on the page "Artifacts".
    """

    @flow
    def publish():
        create_markdown_artifact("2 of 3")

    state = publish(return_state=True)

    assert artifacts(api, **of(state)) == [("", "markdown", "2 of 3")]
    assert artifacts(api, "/artifacts/latest/filter", **of(state)) == []


def test_a_key_has_only_lowercase_letters_numbers_and_dashes():
    """Use lowercase letters, numbers and dashes for the key, because Prefect
    refuses others.
    """
    with pytest.raises(
        ValueError,
        match="Artifact key must only contain lowercase letters, numbers, and"
        " dashes",
    ):
        create_markdown_artifact("2 of 3", key="unpaid_orders")
