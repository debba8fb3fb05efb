from importlib import import_module
from pathlib import Path

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from prefect.deployments import run_deployment
from prefect.flow_engine import run_flow
from prefect.runner import Runner
from pydantic import SecretStr

from tests.backend import run_program

KEY = "not-a-real-key"


@flow
def length_of(api_key: Secret) -> int:
    return len(api_key.get())


@pytest.fixture
def block():
    Secret(value=KEY).save("example-rates-key", overwrite=True)
    return Secret.load("example-rates-key")


def stored(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).parameters


def run_as_deployment(api, flow, **parameters):
    deployment = Runner().add_flow(flow, name="no-secret-parameter")
    run = run_deployment(deployment, parameters=parameters, timeout=0)
    return run_flow(
        flow, flow_run=api.read_flow_run(run.id), return_type="state"
    )


def test_a_string_is_stored_in_clear_whatever_the_type_hint_says(dont, api):
    typed = import_module("secret_str")

    assert stored(api, dont.load_rates(KEY, return_state=True)) == {
        "api_key": "not-a-real-key"
    }
    assert stored(api, typed.load_rates(KEY, return_state=True)) == {
        "api_key": "not-a-real-key"
    }


def test_a_secret_str_arrives_at_a_deployment_as_asterisks(
    dont, tmp_path, record
):
    program = Path(dont.__file__).with_name("secret_str.py")
    run = run_program(program, tmp_path)

    assert "{'api_key': '**********'}" in run.stdout
    assert "Failed: " in run.stdout
    record(program.with_suffix(".out"), run.stdout)


def test_only_the_name_of_the_block_is_stored(do, api, block):
    state = run_as_deployment(api, do.load_rates, key_block="example-rates-key")

    assert state.result() == 3
    assert stored(api, state) == {"key_block": "example-rates-key"}


def test_a_block_arrives_by_reference_but_not_by_value(api, block):
    reference = {"$ref": str(block._block_document_id)}
    by_reference = run_as_deployment(api, length_of, api_key=reference)
    by_value = run_as_deployment(api, length_of, api_key=block)

    assert by_reference.result() == len(KEY)
    assert stored(api, by_reference) == {"api_key": reference}
    assert by_value.result() == len("**********")


def test_a_secret_str_reaches_a_flow_that_is_called_in_the_process(dont, api):
    typed = import_module("secret_str")
    state = typed.load_rates(SecretStr(KEY), return_state=True)

    assert state.result() == 3
    assert stored(api, state) == {"api_key": "**********"}
