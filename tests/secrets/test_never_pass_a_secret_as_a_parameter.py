from importlib import import_module

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.flow_engine import run_flow
from prefect.runner import Runner
from pydantic import SecretStr

from tests.observe import settles, task_runs

KEY = "not-a-real-key"


@pytest.fixture
def secret_str(dont):
    return import_module("secret_str")


@pytest.fixture
def block():
    Secret(value=KEY).save("example-rates-key", overwrite=True)
    return Secret.load("example-rates-key")


def stored(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).parameters


def run_as_deployment(api, flow, parameters):
    deployment = Runner().add_flow(flow, name="no-secret-parameter")
    run = run_deployment(deployment, parameters=parameters, timeout=0)
    return run_flow(
        flow, flow_run=api.read_flow_run(run.id), return_type="state"
    )


def test_a_string_is_stored_in_clear_on_the_run_and_on_the_deployment(
    dont, api
):
    state = dont.load_rates(KEY, return_state=True)
    deployment = Runner().add_flow(
        dont.load_rates, name="has-the-key", parameters={"api_key": KEY}
    )

    assert state.result() == 3
    assert stored(api, state) == {"api_key": "not-a-real-key"}
    assert api.read_deployment(deployment).parameters == {
        "api_key": "not-a-real-key"
    }


def test_a_secret_str_hides_the_key_only_if_the_caller_made_it_one(
    secret_str, api
):
    given_text = secret_str.load_rates(KEY, return_state=True)
    given_secret = secret_str.load_rates(SecretStr(KEY), return_state=True)

    assert given_text.result() == given_secret.result() == 3
    assert stored(api, given_text) == {"api_key": "not-a-real-key"}
    assert stored(api, given_secret) == {"api_key": "**********"}


def test_a_secret_str_arrives_at_a_deployment_as_asterisks(
    secret_str, api, monkeypatch
):
    sent = []
    monkeypatch.setattr(
        secret_str, "fetch_rates", lambda key: sent.append(key) or []
    )
    key = {"api_key": SecretStr(KEY)}
    state = run_as_deployment(api, secret_str.load_rates, key)

    assert sent == ["**********"]
    assert stored(api, state) == {"api_key": "**********"}


def test_only_the_name_of_the_block_is_stored(do, api, block):
    name = {"key_block": "example-rates-key"}
    state = run_as_deployment(api, do.load_rates, name)

    assert state.result() == 3
    assert stored(api, state) == name
    settles(lambda: task_runs(api, state), [("fetch_rates", "Completed", 1)])
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    (task_run,) = api.read_task_runs(
        flow_run_filter=this_run, sort="ID_DESC", limit=2
    )
    assert KEY not in task_run.model_dump_json()


def test_a_block_arrives_by_reference_but_not_by_value(api, block):
    @flow
    def length_of(api_key: Secret) -> int:
        return len(api_key.get())

    reference = {"api_key": {"$ref": str(block._block_document_id)}}
    by_reference = run_as_deployment(api, length_of, reference)
    by_value = run_as_deployment(api, length_of, {"api_key": block})

    assert by_reference.result() == len(KEY)
    assert stored(api, by_reference) == reference
    assert by_value.result() == len("**********")
