import asyncio
from copy import deepcopy
from shutil import copy

import pytest
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.deployments import run_deployment
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/secrets/reference_secrets_in_job_variables"
REFERENCE = "{{ prefect.blocks.secret.shop-token }}"


@pytest.fixture(autouse=True)
def pool(do, api):
    Secret(value="not-a-real-token").save("shop-token", overwrite=True)
    return api.create_work_pool(do.POOL, overwrite=True)


def stored(api, deployment_id):
    return api.read_deployment(deployment_id).job_variables


def resolved(template, job_variables):
    """The environment of a flow run, made as a worker makes it."""
    job = ProcessJobConfiguration.from_template_and_values(
        template, job_variables
    )
    return asyncio.run(job).env


def run_by_a_worker(api, deployment_id, **options):
    run = run_deployment(deployment_id, timeout=0, **options)
    asyncio.run(ProcessWorker("shop-orders").start(run_once=True))
    return api.read_flow_run(run.id).state


def test_a_resolved_token_is_stored_in_clear_and_a_reference_is_not(
    dont, do, api
):
    in_clear = {"env": {"SHOP_TOKEN": "not-a-real-token"}}
    assert stored(api, dont.deploy()) == in_clear
    assert stored(api, do.deploy()) == {"env": {"SHOP_TOKEN": REFERENCE}}


def test_only_the_reference_follows_a_new_token(dont, do, pool, api):
    in_clear, reference = stored(api, dont.deploy()), stored(api, do.deploy())
    Secret(value="a-new-token").save("shop-token", overwrite=True)

    old = resolved(pool.base_job_template, in_clear)["SHOP_TOKEN"]
    new = resolved(pool.base_job_template, reference)["SHOP_TOKEN"]
    assert (old, new) == ("not-a-real-token", "a-new-token")


def test_a_worker_resolves_the_reference_or_crashes_the_run(do, api):
    deployment_id = do.deploy()
    assert run_by_a_worker(api, deployment_id).is_completed()

    lost = {"env": {"SHOP_TOKEN": "{{ prefect.blocks.secret.lost-token }}"}}
    state = run_by_a_worker(api, deployment_id, job_variables=lost)
    assert state.is_crashed()
    assert state.message.startswith(
        "Failed to submit flow run to infrastructure: ObjectNotFound:"
        " Block not found: 'lost-token' of type 'secret'."
    )


def test_prefect_deploy_resolves_the_reference_of_a_yaml_file(tmp_path, api):
    for file in ("do.py", "prefect.yaml"):
        copy(ROOM / file, tmp_path)
    deploy = ("-m", "prefect", "--no-prompt", "deploy", "--all")
    deployed = python(*deploy, cwd=tmp_path)
    assert deployed.returncode == 0, deployed.stderr

    found = api.read_deployment_by_name("load-orders/yaml-job-variables")
    assert found.job_variables == {"env": {"SHOP_TOKEN": "not-a-real-token"}}


def test_a_work_pool_keeps_the_reference_for_all_its_deployments(pool, api):
    template = deepcopy(pool.base_job_template)
    variables = template["variables"]["properties"]
    variables["env"]["default"] = {"SHOP_TOKEN": REFERENCE}
    changed = WorkPoolUpdate(base_job_template=template)
    api.update_work_pool(pool.name, changed)

    template = api.read_work_pool(pool.name).base_job_template
    assert REFERENCE in str(template)
    assert resolved(template, {})["SHOP_TOKEN"] == "not-a-real-token"
