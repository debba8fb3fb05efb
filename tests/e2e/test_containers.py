"""The starter in containers.

No container engine and no cluster runs here. What is asserted is what the
workers would send to them.
"""

import asyncio
import inspect
import shlex
import shutil
from contextlib import chdir
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_flow_run
from prefect.testing.cli import invoke_and_assert
from prefect_docker.worker import DockerWorker
from prefect_kubernetes.worker import KubernetesWorker

from tests.programs import python
from tests.starter import FOLDER, read, settings_of_the_package

# Both kinds deploy by the same names.
pytestmark = pytest.mark.xdist_group("starter-containers")
DIGEST = "sha256:" + "1" * 64
WORKERS = {"docker": DockerWorker, "kubernetes": KubernetesWorker}
NAMES = ("load-daily-sales/nightly", "load-daily-sales/backfill")
BLOCKS = {
    "daily-sales-database-url": "DAILY_SALES_DATABASE_URL",
    "daily-sales-shop-token": "DAILY_SALES_SHOP_TOKEN",
}
SECRETS = tuple(BLOCKS.values())


@pytest.fixture(scope="module", params=WORKERS)
def deployed(request, package, tmp_path_factory):
    """What a deployment leaves on the server when its folder has gone."""
    kind, folder = request.param, tmp_path_factory.mktemp("laptop")
    secrets = {name: token_hex() for name in SECRETS}
    shutil.copytree(FOLDER / "deploy", folder / "deploy")
    blocks = {name: secrets[BLOCKS[name]] for name in BLOCKS}
    for name, secret in blocks.items() if kind == "docker" else ():
        Secret(value=secret).save(name)
    create = ["work-pool", "create", f"daily-sales-{kind}", "--type", kind]
    create += ["--base-job-template", f"deploy/{kind}-job-template.json"]
    made = python("-m", "prefect", *create, cwd=folder)
    assert made.returncode == 0, made.stderr
    command = ["deploy", "--all", "--prefect-file"]
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setenv("DAILY_SALES_DIGEST", DIGEST)
        file = f"deploy/prefect.{kind}.yaml"
        invoke_and_assert([*command, file], expected_code=0)
    shutil.rmtree(folder)
    with get_client(sync_client=True) as api:
        pool = api.read_work_pool(f"daily-sales-{kind}")
        deployments = [api.read_deployment_by_name(name) for name in NAMES]
        yield SimpleNamespace(
            kind=kind, secrets=secrets, pool=pool, deployments=deployments
        )
        for each in deployments:
            api.delete_deployment(each.id)
        api.delete_work_pool(pool.name)
    for name in BLOCKS if kind == "docker" else ():
        Secret.delete(name)


def job_of(deployed, deployment, api):
    """The job of a run, made as a worker makes it."""
    run = api.create_flow_run_from_deployment(deployment.id)
    job = WORKERS[deployed.kind].job_configuration.from_template_and_values(
        deployed.pool.base_job_template, deployment.job_variables
    )
    job = asyncio.run(job)
    job.prepare_for_flow_run(run, deployment=deployment)
    return job


def test_no_secret_is_stored_with_a_deployment(deployed):
    stored = [one.model_dump_json() for one in deployed.deployments]
    for secret in deployed.secrets.values():
        for text in (*stored, deployed.pool.model_dump_json()):
            assert secret not in text
    for deployment in deployed.deployments:
        assert deployment.work_pool_name == f"daily-sales-{deployed.kind}"
        assert deployment.version == DIGEST
        assert not {*SECRETS} & deployment.job_variables["env"].keys()


def test_a_run_gets_image_secrets_and_files(deployed, api):
    for deployment in deployed.deployments:
        job = job_of(deployed, deployment, api)
        if deployed.kind == "docker":
            in_a_docker_container(job, deployed.secrets)
        else:
            in_a_pod(job, deployed.secrets)


IMAGE = f"registry.example.org/daily-sales@{DIGEST}"
COMMAND = "prefect flow-run execute"


def in_a_docker_container(job, secrets):
    engine = SimpleNamespace(version=lambda: {"Version": "27.0.0"})
    made = DockerWorker("unused")._build_container_settings(engine, job)
    assert made["image"] == IMAGE
    assert made["command"] == COMMAND
    environment = made["environment"]
    assert secrets.items() <= environment.items()
    assert environment["DAILY_SALES_SHOP_URL"].startswith("https://")
    (mount,) = made["volumes"]
    _, inside, mode = mount.split(":")
    assert (inside, mode) == (environment["DAILY_SALES_CSV_FOLDER"], "ro")


def in_a_pod(job, secrets):
    text = str(job.job_manifest)
    assert not [secret for secret in secrets.values() if secret in text]
    pod = job.job_manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert shlex.join(container["args"]) == COMMAND
    assert container["envFrom"] == [{"secretRef": {"name": "daily-sales"}}]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert not {*SECRETS} & values.keys()
    assert values["DAILY_SALES_SHOP_URL"].startswith("https://")
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == values["DAILY_SALES_CSV_FOLDER"]
    assert mount["readOnly"]
    (volume,) = pod["volumes"]
    assert volume["name"] == mount["name"]
    claim = volume["persistentVolumeClaim"]
    assert claim == {"claimName": "daily-sales-csv", "readOnly": True}


def test_a_container_finds_the_flow_in_its_package(deployed, api, tmp_path):
    for deployment in deployed.deployments:
        run = api.create_flow_run_from_deployment(deployment.id)
        with chdir(tmp_path):
            flow = asyncio.run(
                load_flow_from_flow_run(run, use_placeholder_flow=False)
            )
        assert flow.name == "load-daily-sales"
        assert Path(inspect.getfile(flow.fn)).is_relative_to(FOLDER)


@pytest.mark.parametrize("kind", WORKERS)
def test_each_kind_of_pool_has_the_same_deployments(kind):
    def declared(name):
        own = {"work_pool", "version", "tags"}
        return [
            {key: value for key, value in one.items() if key not in own}
            for one in read(name)["deployments"]
        ]

    variant = f"deploy/prefect.{kind}.yaml"
    assert declared(variant) == declared("prefect.yaml")
    for one in read(variant)["deployments"]:
        assert one["work_pool"]["name"] == f"daily-sales-{kind}"


def test_the_settings_of_runs_are_those_that_the_package_has(package):
    known = settings_of_the_package()
    for kind in WORKERS:
        for one in read(f"deploy/prefect.{kind}.yaml")["deployments"]:
            given = one["work_pool"]["job_variables"]["env"].keys()
            assert given | {*SECRETS} == known["Settings"]
