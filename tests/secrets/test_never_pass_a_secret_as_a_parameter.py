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
RATES = [1.08, 0.86, 161.2]


@pytest.fixture
def secret_str(dont):
    return import_module("secret_str")


@pytest.fixture
def block():
    Secret(value=KEY).save("another-rates-key", overwrite=True)
    yield Secret.load("another-rates-key")
    Secret.delete("another-rates-key")


@pytest.fixture
def deployed(api):
    made = []

    def deploy(flow, **options):
        made.append(Runner().add_flow(flow, name="no-secret", **options))
        return made[-1]

    yield deploy
    for deployment in set(made):
        api.delete_deployment(deployment)


def stored(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).parameters


def run(api, flow, deployment, parameters):
    """Run a deployment's flow, its parameters read from the server."""
    run = run_deployment(deployment, parameters=parameters, timeout=0)
    return run_flow(
        flow, flow_run=api.read_flow_run(run.id), return_type="state"
    )


def test_a_string_is_stored_in_clear_on_the_run_and_on_the_deployment(
    dont, api, deployed
):
    """Prefect sends the parameters of a flow run to the server as JSON, and
    the server stores them with the run.

    The parameters that you give a deployment are stored in the same way.
    """
    state = dont.load_rates(KEY, return_state=True)
    assert state.result() == RATES
    assert stored(api, state) == {"api_key": "not-a-real-key"}

    deployment = deployed(dont.load_rates, parameters={"api_key": KEY})
    assert api.read_deployment(deployment).parameters == {
        "api_key": "not-a-real-key"
    }


def test_a_secret_str_hides_the_key_only_if_the_caller_made_it_one(
    secret_str, api
):
    """The server stores every parameter of a flow run, so a key is kept in
    clear if it is a string, and lost if it is a SecretStr.

    Prefect sends what the caller passed, so a string is stored in clear,
    whatever the hint says.

    If you call a flow in your own process and pass a real `SecretStr`, the
    flow gets the key, and the server gets asterisks.
    """
    given_text = secret_str.load_rates(KEY, return_state=True)
    given_secret = secret_str.load_rates(SecretStr(KEY), return_state=True)

    assert given_text.result() == given_secret.result() == RATES
    assert stored(api, given_text) == {"api_key": "not-a-real-key"}
    assert stored(api, given_secret) == {"api_key": "**********"}


def test_a_secret_str_arrives_at_a_deployment_as_asterisks(
    secret_str, api, deployed, monkeypatch
):
    """The process that runs the flow reads the parameters from the server. It
    gets a `SecretStr` whose value is ten asterisks, and passes these on to the
    service.

    A real `SecretStr` becomes asterisks in the JSON, and a deployment gets
    nothing but this JSON:

    This works only until someone deploys the flow.
    """
    sent = []
    monkeypatch.setattr(
        secret_str, "fetch_rates", lambda key: sent.append(key) or []
    )
    key = {"api_key": SecretStr(KEY)}
    flow = secret_str.load_rates
    state = run(api, flow, deployed(flow), key)

    assert sent == ["*" * 10]
    assert stored(api, state) == {"api_key": "**********"}


def test_only_the_name_of_the_block_is_stored(do, api, deployed, block):
    """A deployment gets it unchanged, and the run's parameters tell you which
    key it used. Each run loads the block anew, so you can change the key
    without a new deployment.

    The server does not store the arguments of a task, so `do.py` may pass the
    key on to `fetch_rates`.
    """
    name = {"key_block": "another-rates-key"}
    deployment = deployed(do.load_rates)
    state = run(api, do.load_rates, deployment, name)

    assert state.result() == RATES
    assert stored(api, state) == name
    settles(lambda: task_runs(api, state), [("fetch_rates", "Completed", 1)])
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    (task_run,) = api.read_task_runs(
        flow_run_filter=this_run, sort="ID_DESC", limit=2
    )
    assert KEY not in task_run.model_dump_json()

    Secret(value="a-new-key").save("another-rates-key", overwrite=True)
    state = run(api, do.load_rates, deployment, name)
    assert "PermissionError: 401: unknown key" in state.message


def test_a_block_arrives_by_reference_but_not_by_value(api, deployed, block):
    """Then pass a reference, `{"$ref": "<id of the block document>"}`, and
    Prefect loads the block in the process that runs the flow. If you pass the
    block itself to `run_deployment`, the flow gets asterisks here too.
    """

    @flow
    def characters_of(api_key: Secret) -> list:
        return [*api_key.get()]

    deployment = deployed(characters_of)
    reference = {"api_key": {"$ref": str(block._block_document_id)}}
    by_reference = run(api, characters_of, deployment, reference)
    by_value = run(api, characters_of, deployment, {"api_key": block})

    assert by_reference.result() == [*KEY]
    assert stored(api, by_reference) == reference
    assert by_value.result() == ["*"] * 10
