import asyncio
import inspect
from copy import deepcopy
from secrets import token_hex
from shutil import copy

import pytest
from prefect import Flow, serve
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.deployments import run_deployment
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/secrets/reference_secrets_in_job_variables"
REFERENCE = "{{ prefect.blocks.secret.shop-token }}"
PULL = """
    pull:
      - prefect.deployments.steps.git_clone:
          repository: https://git.example.org/shop.git
          access_token: "{{ prefect.blocks.secret.shop-token }}"
"""


@pytest.fixture(autouse=True)
def pool(do, api):
    Secret(value="not-a-real-token").save("shop-token", overwrite=True)
    yield api.create_work_pool(do.POOL, overwrite=True)
    api.delete_work_pool(do.POOL.name)
    Secret.delete("shop-token")


def stored(api, deployment_id):
    return api.read_deployment(deployment_id).job_variables


def resolved(template, job_variables):
    """The environment of a flow run, made as a worker makes it."""
    job = ProcessJobConfiguration.from_template_and_values(
        template, job_variables
    )
    return asyncio.run(job).env


def run_by_a_worker(api, deployment_id, *job_variables):
    runs = [
        run_deployment(deployment_id, timeout=0, job_variables=own)
        for own in job_variables
    ]
    asyncio.run(ProcessWorker("shop-orders").start(run_once=True))
    return [api.read_flow_run(run.id).state for run in runs]


def test_a_resolved_token_is_stored_in_clear_and_a_reference_is_not(
    dont, do, api
):
    """Job variables are stored with the deployment, so a secret that is
    resolved at deploy time is stored in clear.

    `Secret.load(...).get()` runs on the machine that deploys, so the
    deployment gets the token itself. The server stores job variables as they
    are, and the API returns them in clear.

    The server stores the reference as text.
    """
    token = token_hex()
    Secret(value=token).save("shop-token", overwrite=True)
    assert stored(api, dont.deploy()) == {"env": {"SHOP_TOKEN": token}}
    assert stored(api, do.deploy()) == {"env": {"SHOP_TOKEN": REFERENCE}}


def test_only_the_reference_follows_a_new_token(dont, do, pool, api):
    """If you change the token in the block, the deployment keeps the old one
    until you deploy again.
    """
    in_clear, reference = stored(api, dont.deploy()), stored(api, do.deploy())
    Secret(value="a-new-token").save("shop-token", overwrite=True)

    old = resolved(pool.base_job_template, in_clear)["SHOP_TOKEN"]
    new = resolved(pool.base_job_template, reference)["SHOP_TOKEN"]
    assert (old, new) == ("not-a-real-token", "a-new-token")
    again = stored(api, dont.deploy())
    assert again == {"env": {"SHOP_TOKEN": "a-new-token"}}


def test_a_worker_resolves_the_reference_for_each_run(do, api):
    """The worker replaces it when it starts a flow run, so each run gets the
    value that the block has at that time.

    A process worker gives it to the process of the run.

    Or the job variables name a block that does not exist, and each run is
    `Crashed` with this message:
    """
    assert do.POOL.type == ProcessWorker.type
    deployment_id = do.deploy()
    lost = {"env": {"SHOP_TOKEN": "{{ prefect.blocks.secret.lost-token }}"}}
    run, crashed = run_by_a_worker(api, deployment_id, {}, lost)
    assert run.is_completed()
    assert crashed.is_crashed()
    assert crashed.message.startswith(
        "Failed to submit flow run to infrastructure: ObjectNotFound:"
        " Block not found: 'lost-token' of type 'secret'."
    )

    Secret(value="a-new-token").save("shop-token", overwrite=True)
    (run,) = run_by_a_worker(api, deployment_id, {})
    assert run.is_failed()
    assert "401: unknown token" in run.message


def test_prefect_deploy_resolves_job_variables_and_no_pull_step(tmp_path, api):
    """In a `pull` step a reference is stored as it is, so `access_token: "{{
    prefect.blocks.secret.git-token }}"` is the right way to clone a private
    repository.

    If you deploy from `prefect.yaml`, you must not write the reference into
    `job_variables`, because `prefect deploy` replaces it with the secret and
    stores that. This file leaves the token in clear on the server, as
    `dont.py` does:
    """
    token = token_hex()
    Secret(value=token).save("shop-token", overwrite=True)
    copy(ROOM / "do.py", tmp_path)
    yaml = (ROOM / "prefect.yaml").read_text()
    tmp_path.joinpath("prefect.yaml").write_text(yaml + PULL)
    deploy = ("-m", "prefect", "--no-prompt", "deploy", "--all")
    deployed = python(*deploy, cwd=tmp_path)
    assert deployed.returncode == 0, deployed.stderr

    found = api.read_deployment_by_name("load-orders/yaml-job-variables")
    assert found.job_variables == {"env": {"SHOP_TOKEN": token}}
    (step,) = found.pull_steps
    assert step["prefect.deployments.steps.git_clone"] == {
        "repository": "https://git.example.org/shop.git",
        "access_token": REFERENCE,
    }


def test_a_work_pool_keeps_the_reference_for_all_its_deployments(pool, api):
    """There it stays a reference, and all deployments of that pool get the
    variable, even one with an `env` of its own.
    """
    template = deepcopy(pool.base_job_template)
    variables = template["variables"]["properties"]
    variables["env"]["default"] = {"SHOP_TOKEN": REFERENCE}
    changed = WorkPoolUpdate(base_job_template=template)
    api.update_work_pool(pool.name, changed)

    template = api.read_work_pool(pool.name).base_job_template
    assert REFERENCE in str(template)
    assert "not-a-real-token" not in str(template)
    assert resolved(template, {}) == {"SHOP_TOKEN": "not-a-real-token"}
    own = {"env": {"SHOP": "berlin"}}
    assert resolved(template, own) == {
        "SHOP_TOKEN": "not-a-real-token",
        "SHOP": "berlin",
    }


def test_serve_takes_no_job_variables():
    """`serve` takes no job variables, so set the variable for the process
    that serves the flow.
    """
    for takes in (serve, Flow.serve, Flow.to_deployment):
        names = inspect.signature(takes).parameters
        assert ("job_variables" in names) is (takes is Flow.to_deployment)
