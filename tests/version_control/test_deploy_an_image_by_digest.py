# No container engine and no cluster runs here: a stub answers to Docker's API.
import asyncio
import json
import re
from contextlib import chdir, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.testing.cli import invoke_and_assert
from prefect_docker.deployments.steps import push_docker_image
from prefect_docker.worker import DockerWorker
from prefect_kubernetes.worker import KubernetesWorker

from tests.backend import free_port
from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/version_control/deploy_an_image_by_digest"
DONT, DO = ((ROOM / f).read_text() for f in ("dont.yaml", "do.yaml"))
NAME = "revenue/from-an-image"
POOL = WorkPoolCreate(
    name="docker-engines",
    type="docker",
    base_job_template=DockerWorker.get_default_base_job_template(),
)
FLOWS = "registry.example.org/team/flows"
OLD, NEW = ("sha256:" + digit * 64 for digit in "12")
CODE = "from prefect import flow\n\n\n@flow\ndef revenue():\n    return 1200\n"


class Engine(BaseHTTPRequestHandler):
    """What Docker's API answers to the worker; `asked` is what it asks for."""

    def do_GET(self):
        engine, path = self.server, unquote(self.path)
        if path.endswith("/version"):
            self.answer(200, {"ApiVersion": "1.44", "Version": "27.0.0"})
        elif image := re.search("/images/(.*)/json", path):
            if image[1] in engine.images:
                self.answer(200, {"Id": image[1]})
            else:
                self.answer(404, {"message": f"No such image: {image[1]}"})
        elif path.endswith("/json"):
            state = {"Status": "exited", "ExitCode": 0}
            config = {"Tty": False}
            made = {"Id": "a1", "Name": "/a", "State": state, "Config": config}
            self.answer(200, made)
        else:
            self.answer(200)

    def do_POST(self):
        engine, url = self.server, urlsplit(unquote(self.path))
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path.endswith("/images/create"):
            (name,), (tag,) = map(parse_qs(url.query).get, ("fromImage", "tag"))
            digest = engine.registry.get(tag, tag)
            engine.images[f"{name}{'@' if digest == tag else ':'}{tag}"] = (
                digest
            )
            engine.asked.append("pull")
            self.answer(200, {"status": "Pulled"})
        elif url.path.endswith("/containers/create"):
            engine.created.append(json.loads(sent))
            self.answer(201, {"Id": "a1"})
        elif url.path.endswith("/start"):
            digest = engine.images[engine.created[-1]["Image"]]
            engine.asked.append(f"start {digest[:11]}")
            self.answer(204)
        else:
            self.answer(200, {"StatusCode": 0})

    def answer(self, status, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def engine(monkeypatch):
    """An engine without images, and a registry whose tags are at `OLD`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    server.registry = {"latest": OLD, "production": OLD}
    server.images, server.asked, server.created = {}, [], []
    Thread(target=server.serve_forever).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(api, tmp_path):
    """A project to deploy from, and the work pool that the files name."""
    api.create_work_pool(POOL, overwrite=True)
    (tmp_path / "revenue.py").write_text(CODE)
    yield tmp_path
    with suppress(ObjectNotFound):
        api.delete_deployment(api.read_deployment_by_name(NAME).id)
    api.delete_work_pool(POOL.name)


def deploy(api, folder, text):
    with chdir(folder):
        Path("prefect.yaml").write_text(text)
        invoke_and_assert(["deploy", "--all"], expected_code=0)
    return api.read_deployment_by_name(NAME)


def run_by_a_worker(api, **job_variables):
    run = run_deployment(NAME, timeout=0, job_variables=job_variables)
    asyncio.run(DockerWorker(POOL.name).start(run_once=True))
    return api.read_flow_run(run.id)


def two_runs(api, engine):
    """Run twice, with a push between, and say what the engine was asked."""
    lines = []
    for which in ("First run: ", "Second run:"):
        run_by_a_worker(api)
        lines.append(f"{which} {', '.join(engine.asked)}\n")
        engine.asked.clear()
        engine.registry["latest"] = NEW
    return "".join(lines)


def prepared(worker, template=None, **job_variables):
    """The configuration of a flow run, made as a worker makes it."""
    job = worker.job_configuration.from_template_and_values(
        template or worker.get_default_base_job_template(), job_variables
    )
    job = asyncio.run(job)
    job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a"))
    return job


def pod_of(template=None, **job_variables):
    job = prepared(KubernetesWorker, template, **job_variables)
    return job.job_manifest["spec"]["template"]["spec"]


def test_a_push_changes_what_runs_and_not_the_deployment(folder, engine, api):
    """A tag names the image that was pushed last, so the same deployment runs
    other code after a push, and neither it nor its runs show which.

    For `latest`, or no tag, the Docker worker pulls before each run, so a push
    reaches the next one.
    """
    deployed = deploy(api, folder, DONT)
    assert two_runs(api, engine) == (ROOM / "dont.txt").read_text()
    assert {made["Image"] for made in engine.created} == {f"{FLOWS}:latest"}
    seen = api.read_deployment(deployed.id)
    assert seen.job_variables == deployed.job_variables
    assert seen.version == deployed.version
    which = DeploymentFilter(id={"any_": [deployed.id]})
    first, second = api.read_flow_runs(deployment_filter=which)
    assert first.job_variables == second.job_variables == {}
    for shown in (seen, first, second):
        assert "sha256" not in shown.model_dump_json()


def test_a_digest_runs_the_same_image_after_a_push(
    folder, engine, api, monkeypatch
):
    """`prefect deploy` replaces `{{ $FLOWS_DIGEST }}` with the value of the
    variable, so the deployment names the image itself.

    The second run pulls nothing, because the machine has the image.

    The pull step names the folder in the image that holds the code, so nothing
    is cloned.
    """
    monkeypatch.setenv("FLOWS_DIGEST", OLD)
    deployed = deploy(api, folder, DO)
    assert deployed.job_variables == {"image": f"{FLOWS}@{OLD}"}
    (step,) = deployed.pull_steps
    assert [*step.values()] == [{"directory": "/opt/flows"}]
    assert two_runs(api, engine) == (ROOM / "do.txt").read_text()
    assert {made["Image"] for made in engine.created} == {f"{FLOWS}@{OLD}"}


def test_without_the_variable_no_error_says_so(folder, api, monkeypatch):
    """If the variable is not set, `prefect deploy` ends with success and
    stores an image with nothing behind the `@`.
    """
    monkeypatch.delenv("FLOWS_DIGEST", raising=False)
    assert deploy(api, folder, DO).job_variables == {"image": f"{FLOWS}@"}


def test_two_machines_run_different_images_of_one_tag(folder, engine, api):
    """For another tag it pulls only if the machine has no image of that name,
    so an old machine keeps the old image, and a new machine gets the new one.
    """
    deploy(api, folder, DONT.replace("latest", "production"))
    run_by_a_worker(api)
    engine.registry["production"] = NEW
    run_by_a_worker(api)
    assert engine.asked == ["pull", "start sha256:1111", "start sha256:1111"]
    engine.images.clear()
    run_by_a_worker(api)
    assert engine.asked[3:] == ["pull", "start sha256:2222"]


def test_when_each_worker_pulls(table):
    """The Kubernetes worker writes `IfNotPresent` into the Job, also for
    `latest`.
    """
    rows = []
    for name, image in (
        ("no tag", FLOWS),
        ("`latest`", f"{FLOWS}:latest"),
        ("another tag", f"{FLOWS}:production"),
        ("a digest", f"{FLOWS}@{OLD}"),
    ):
        docker = prepared(DockerWorker, image=image)
        (container,) = pod_of(image=image)["containers"]
        assert docker.image == container["image"] == image
        policy = docker._determine_image_pull_policy().value
        rows.append([name, f"`{policy}`", f"`{container['imagePullPolicy']}`"])
    assert {kubernetes for *_, kubernetes in rows} == {"`IfNotPresent`"}
    head = ["The image has", "Docker worker", "Kubernetes worker"]
    table("policies.md", head, rows)


def test_what_else_the_container_gets(folder, engine, api):
    """What else the container gets stands beside the image, as job variables:
    `env`, and `mem_limit` for Docker or `cpu_request` and `memory_limit` for
    Kubernetes. A `secretKeyRef` or a `terminationGracePeriodSeconds` has no
    variable, so write it into the base job template of the work pool, from
    where it comes into each Job.
    """
    deploy(api, folder, DONT)
    run = run_by_a_worker(api, env={"REGION": "eu"}, mem_limit="1g")
    (made,) = engine.created
    assert {"REGION=eu", f"PREFECT__FLOW_RUN_ID={run.id}"} <= {*made["Env"]}
    assert made["HostConfig"]["Memory"] == 2**30

    template = KubernetesWorker.get_default_base_job_template()
    variables = template["variables"]["properties"]
    assert {"env", "cpu_request", "memory_limit"} <= variables.keys()
    assert not [name for name in variables if "grace" in name.lower()]
    assert variables["env"]["type"] == "object"
    secret = {
        "name": "TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "shop", "key": "token"}},
    }
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"][
        "spec"
    ]
    pod["terminationGracePeriodSeconds"] = 120
    pod["containers"][0]["env"] = [secret]
    pod = pod_of(
        template, env={"REGION": "eu"}, cpu_request="500m", memory_limit="1Gi"
    )
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 120
    assert container["resources"] == {
        "requests": {"cpu": "500m"},
        "limits": {"memory": "1Gi"},
    }
    assert secret in container["env"]
    assert {"name": "REGION", "value": "eu"} in container["env"]


def test_the_push_step_returns_a_tag_and_no_digest(engine):
    """Prefect's step `push_docker_image` returns the tag and no digest."""
    pushed = push_docker_image(image_name=FLOWS, tag="production")
    assert pushed["image"] == f"{FLOWS}:production"
    assert "sha256" not in str(pushed)


def test_without_an_engine(folder, api, monkeypatch):
    """A build step of `prefect deploy` on a machine without Docker ends with:

    A Docker worker there starts all the same, and each run is `Crashed`:
    """
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    deploy(api, folder, DONT)
    state = run_by_a_worker(api).state
    assert state.is_crashed()
    assert state.message == (
        "Failed to submit flow run to infrastructure: RuntimeError: Could not"
        " connect to Docker."
    )

    step = "prefect_docker.deployments.steps.build_docker_image"
    build = [{step: {"image_name": FLOWS, "tag": "latest"}}]
    file = yaml.safe_load(DONT) | {"build": build}
    (folder / "prefect.yaml").write_text(yaml.dump(file))
    command = ("-m", "prefect", "--no-prompt", "deploy", "--all")
    ended = python(*command, cwd=folder, COLUMNS="200")
    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "This error is often thrown because Docker is not running" in said
