"""The files around the starter: containers, compose, CI and its README.

No container engine and no cluster runs here. What is asserted is what the
workers would send to them.
"""

import asyncio
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import chdir, suppress
from itertools import count
from pathlib import Path
from secrets import token_hex
from types import SimpleNamespace

import httpx
import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_flow_run
from prefect.testing.cli import invoke_and_assert
from prefect_docker.worker import DockerWorker
from prefect_kubernetes.worker import KubernetesWorker
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from tests import backend
from tests.book import ROOT
from tests.observe import settles
from tests.programs import python, tool

# Both kinds deploy by the same names.
pytestmark = pytest.mark.xdist_group("starter-containers")
STARTER = ROOT / "snippets/starter"
DIGEST = "sha256:" + "1" * 64
WORKERS = {"docker": DockerWorker, "kubernetes": KubernetesWorker}
NAMES = ("load-daily-sales/nightly", "load-daily-sales/backfill")
BLOCKS = {
    "daily-sales-database-url": "DAILY_SALES_DATABASE_URL",
    "daily-sales-shop-token": "DAILY_SALES_SHOP_TOKEN",
}
SECRETS = tuple(BLOCKS.values())


def read(name):
    return yaml.safe_load((STARTER / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def package():
    """Make the package importable, as it is in the image."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STARTER / "src")
        yield
    for name in [n for n in sys.modules if n.startswith("daily_sales")]:
        del sys.modules[name]


@pytest.fixture(scope="module", params=WORKERS)
def deployed(request, package, tmp_path_factory):
    """What a deployment leaves on the server when its folder has gone."""
    kind, folder = request.param, tmp_path_factory.mktemp("laptop")
    secrets = {name: token_hex() for name in SECRETS}
    shutil.copytree(STARTER / "deploy", folder / "deploy")
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
        assert Path(inspect.getfile(flow.fn)).is_relative_to(STARTER)


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


def settings_of_the_package():
    """The variables that must be set, by the class that reads them."""
    from daily_sales import settings

    return {
        name: {
            f"DAILY_SALES_{field.upper()}"
            for field, info in getattr(settings, name).model_fields.items()
            if info.is_required()
        }
        for name in ("Settings", "SetUpSettings")
    }


# compose.yaml


COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]
SERVER = SERVICES["api"]["environment"]
REFERENCE = re.compile(r"\$\{(\w+):\?[^}]+\}")


def example():
    """The variables of `.env.example`."""
    lines = (STARTER / ".env.example").read_text("utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", lines, re.M))


def test_compose_yaml_has_the_form_of_its_schema():
    schema = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    checked = tool(*schema, STARTER / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


def test_env_example_has_what_is_asked_for_and_no_more(package):
    text = (STARTER / "compose.yaml").read_text("utf-8")
    asked = {*REFERENCE.findall(text)}
    # Each is one that compose asks for by name if it is missing or empty.
    assert re.findall(r"(?<!\$)\$(?!\$|\{\w+:\?)", text) == []
    runs, set_up = settings_of_the_package().values()
    assert asked >= runs | set_up
    assert example().keys() == asked | runs | set_up | {"PREFECT_API_URL"}


def test_no_secret_of_env_example_has_a_value_that_passes_for_one():
    # An empty one is refused: by compose, and by what reads the setting.
    for name, value in example().items():
        if re.search("TOKEN|PASSWORD|KEY|AUTH|ALERT", name):
            assert value == "", name


def test_only_the_api_is_published_and_only_on_this_machine():
    ports = {
        name: one["ports"] for name, one in SERVICES.items() if "ports" in one
    }
    assert ports == {"api": ["127.0.0.1:4200:4200"]}
    assert not [one for one in SERVICES.values() if "network_mode" in one]


def test_each_image_has_a_tag_that_names_a_version():
    for name, one in SERVICES.items():
        assert ("image" in one) != ("build" in one), name
        if "image" in one:
            assert re.fullmatch(r"[\w/]+:\d+\.\d+[\w.-]*", one["image"]), name
    # A client must not be newer than its server.
    project = tomllib.loads((STARTER / "pyproject.toml").read_text())["project"]
    version = SERVICES["api"]["image"].partition(":")[2].partition("-")[0]
    assert f"prefect=={version}" in project["dependencies"]


def test_what_is_built_is_a_stage_of_the_dockerfile():
    text = (STARTER / "Dockerfile").read_text("utf-8")
    stages = re.findall(r"^FROM \S+(?: AS (\S+))?$", text, re.M)
    assert stages == ["build", "flow", "worker", ""]
    assert text.rstrip().endswith("FROM flow")
    worker = SERVICES["worker"]["build"]
    assert worker == {"context": ".", "target": "worker"}
    # The last USER of a stage counts.
    for stage in re.split(r"^FROM ", text, flags=re.M)[2:4]:
        assert re.findall(r"^USER (\d+)$", stage, re.M)[-1] == "10001"


def waited_for(name):
    """The services that are up before this one starts."""
    needs = SERVICES[name].get("depends_on", {})
    return {*needs}.union(*(waited_for(need) for need in needs))


def hosts(environment):
    """The services that these settings name."""
    words = re.split(r"[:/@]", " ".join(map(str, environment.values())))
    words = {word for part in words for word in part.split()}
    named = {"PREFECT_SERVER_DATABASE_HOST", "PREFECT_REDIS_MESSAGING_HOST"}
    used = {environment[key] for key in named & environment.keys()}
    if "PREFECT_API_URL" in environment:
        used |= words & {"api"}
    return used


def test_each_service_waits_for_the_health_of_what_it_uses():
    for name, one in SERVICES.items():
        assert hosts(one.get("environment", {})) <= waited_for(name), name
        for need, how in one.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert SERVICES[need]["healthcheck"]["test"], need
            else:
                # The set-up is no server: it ends.
                assert how["condition"] == "service_completed_successfully"
                assert need == "set-up"
    assert hosts(SERVER) == {"postgres", "redis"}
    assert waited_for("worker") == {"set-up", "api", "postgres", "redis"}


def test_what_must_last_is_in_a_named_volume():
    used = {
        mount.partition(":")[0]
        for one in SERVICES.values()
        for mount in one.get("volumes", [])
        if not mount.startswith("$")
    }
    assert used == COMPOSE["volumes"].keys() == {"postgres", "redis", "worker"}


def test_the_settings_of_the_server_are_those_of_the_rules(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "snippets/secrets/catch_setting_typos")
    from prefect_redis.client import RedisMessagingSettings
    from setting_names import known_names

    of_redis = {
        f"PREFECT_REDIS_MESSAGING_{field.upper()}"
        for field in RedisMessagingSettings.model_fields
    }
    # The server reads it by this name, and it is no field of the settings.
    key = {"PREFECT_SERVER_ENCRYPTION_KEY"}
    assert SERVER.keys() <= known_names() | of_redis | key
    assert SERVICES["services"]["environment"] == SERVER

    rooms = ("run_two_servers", "run_postgres_not_sqlite")
    for room in rooms:
        text = (ROOT / f"snippets/scaling/{room}/do.toml").read_text()
        server = tomllib.loads(text)["server"]
        for part, settings in server.items():
            for name, value in settings.items():
                if name != "host":
                    variable = f"PREFECT_SERVER_{part}_{name}".upper()
                    assert SERVER[variable] == str(value)
    start = (ROOT / "snippets/scaling/run_two_servers/start.sh").read_text()
    for name, more in ("api", "--no-services"), ("services", "services"):
        command = SERVICES[name]["command"]
        assert more in command
        assert " ".join(command).replace("=", " ") in start


def filled(environment, values):
    return {
        name: REFERENCE.sub(lambda found: values[found[1]], value)
        for name, value in environment.items()
    }


@pytest.fixture
def values():
    from cryptography.fernet import Fernet

    return {
        "PREFECT_API_AUTH_STRING": f"admin:{token_hex()}",
        "PREFECT_SERVER_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        # A password may have characters that mean something in an address.
        "POSTGRES_PASSWORD": f"{token_hex()}@/:",
        "REDIS_PASSWORD": f"{token_hex()}@/:",
    }


@pytest.fixture
def redis(values, tmp_path):
    """Redis, started by the command of its service."""
    backend.needed("redis-server")
    port, one = backend.free_port(), SERVICES["redis"]
    *shell, script = (part.replace("$$", "$") for part in one["command"])
    command = [*shell, f"{script} --port {port} --bind 127.0.0.1"]
    client = Redis(port=port, password=values["REDIS_PASSWORD"])

    def answers():
        with suppress(RedisError):
            return client.ping()

    with (
        backend.running(
            command,
            answers,
            cwd=tmp_path,
            env=os.environ | filled(one["environment"], values),
            stdout=subprocess.DEVNULL,
        ),
        client,
    ):
        # If it has none, Redis takes each password that it is given.
        with pytest.raises(AuthenticationError), Redis(port=port) as stranger:
            stranger.ping()
        yield client


def test_server_and_services_start_as_compose_starts_them(
    values, redis, tmp_path
):
    with backend.postgres(values["POSTGRES_PASSWORD"]) as database:
        here = {
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(database),
            "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
            "PREFECT_REDIS_MESSAGING_PORT": str(
                redis.connection_pool.connection_kwargs["port"]
            ),
            "PREFECT_HOME": str(tmp_path / "home"),
        }
        environment = os.environ | filled(SERVER, values) | here
        del environment["PREFECT_API_URL"]
        port = backend.free_port()
        url = f"http://127.0.0.1:{port}/api"
        quiet = {"stdout": subprocess.DEVNULL, "env": environment}
        api, services = (
            [sys.executable, "-m", *SERVICES[name]["command"]]
            for name in ("api", "services")
        )
        api = [*api, f"--port={port}"]

        def events():
            """Whether the services have seen one that the API received."""
            return any(redis.scan_iter("triggers:seen:*"))

        with backend.serve(api, f"{url}/ready", **quiet):
            ask = f"{url}/flows/filter"
            assert httpx.post(ask, json={}).status_code == 401
            user, password = values["PREFECT_API_AUTH_STRING"].split(":")
            with httpx.Client(auth=(user, password)) as client:
                assert client.post(ask, json={}).json() == []
                flow = client.post(f"{url}/flows/", json={"name": "a"}).json()
                run = {"flow_id": flow["id"], "state": {"type": "RUNNING"}}
                client.post(f"{url}/flow_runs/", json=run).raise_for_status()
                assert not events()
                with backend.running(services, lambda: True, **quiet):
                    settles(events, True)


# .github/workflows/test.yaml


WORKFLOW = ".github/workflows/test.yaml"


def test_the_workflow_is_sound():
    for linter in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        ("zizmor", "--offline", "--quiet", "--persona=auditor"),
    ):
        checked = tool(*linter, STARTER / WORKFLOW)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_ci_deploys_what_it_tested_and_keeps_the_password_for_that():
    jobs = read(WORKFLOW)["jobs"]
    deploy = jobs["deploy"]
    assert deploy["needs"] == "test"
    assert deploy["if"] == "github.ref == 'refs/heads/main'"
    assert deploy["environment"] == "production"
    *others, last = deploy["steps"]
    assert "deploy --all" in last["run"]
    assert "PREFECT_API_AUTH_STRING" in last["env"]
    assert "secrets." not in str([jobs["test"], others])

    rule = ROOT / "snippets/version_control/deploy_from_ci/do.yaml"
    used = re.compile(r"uses: (.*)")
    text = (STARTER / WORKFLOW).read_text()
    assert {*used.findall(text)} == {*used.findall(rule.read_text())}


def test_ci_runs_each_hook_of_pre_commit():
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    entries = {each["entry"].removesuffix(" --fix") for each in hooks}
    steps = [
        each.get("run", "") for each in read(WORKFLOW)["jobs"]["test"]["steps"]
    ]
    same = {"uv lock --check": "uv sync --locked"}
    for entry in entries:
        wanted = same.get(entry, entry)
        assert [step for step in steps if step.startswith(wanted)], entry
    assert "uv run pytest" in steps


# README.md and what runs by itself


TOOLS = {"ruff", "pytest", "mypy", "pre-commit"}


def commands():
    """Each command that somebody types, or a machine runs, with its origin."""
    readme = (STARTER / "README.md").read_text("utf-8")
    shell = re.findall(r"^ *```sh\n(.*?)^ *```$", readme, re.M | re.S)
    inline = re.findall(r"`((?:uv|python|prefect) [^`]+)`", readme)
    lines = "\n".join([*shell, *inline]).replace("\\\n", " ").splitlines()
    for line in lines:
        yield shlex.split(line)
    for job in read(WORKFLOW)["jobs"].values():
        for step in job["steps"]:
            yield shlex.split(step.get("run", ""))
    for one in SERVICES.values():
        yield one.get("command", [])


def without_uv(words):
    """What `uv run` runs, without its own options."""
    if words[:2] != ["uv", "run"]:
        return words
    words = iter(words[2:])
    for word in words:
        if word in {"--env-file", "--with"}:
            value = next(words)
            assert (STARTER / f"{value}.example").exists() or re.fullmatch(
                "prefect-(docker|kubernetes)", value
            ), value
        elif word != "--no-sync":
            return [word, *words]
    raise AssertionError("uv run has nothing to run")


def test_each_command_names_something_that_exists(package):
    run = [without_uv(words) for words in commands()]
    run = [
        w
        for w in run
        if w and w[0] in {"python", "prefect", "daily-sales"} | TOOLS
    ]
    kinds = {words[0] for words in run}
    assert kinds == {"python", "prefect", "daily-sales"} | TOOLS
    project = tomllib.loads((STARTER / "pyproject.toml").read_text())
    assert {*project["dependency-groups"]["dev"]} >= TOOLS
    for words in run:
        if words[0] == "python":
            exists_in_the_project(words[1:])
        elif words[0] == "daily-sales":
            assert project["project"]["scripts"]["daily-sales"]
            the_package_takes(words[1:])
        elif words[0] == "prefect":
            prefect_takes(words[1:])


def exists_in_the_project(words):
    if words[0] == "-c":
        compile(words[1], "-c", "exec")
    elif words[0] == "-m":
        assert (STARTER / f"{words[1].replace('.', '/')}.py").exists(), words
    elif words[0].startswith("prefect-rules/"):
        # The folder comes with the download.
        assert (ROOT / "snippets" / Path(words[0]).name).exists(), words
    else:
        assert (STARTER / words[0]).exists(), words


def the_package_takes(words):
    from daily_sales import cli

    called = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("set_up", "backfill"):
            patch.setattr(cli, name, lambda *given: called.append(given) or [])
        cli.main(words)
    assert called


HELP = {}


def prefect_takes(words):
    """Assert that the help of the command tells of each option."""
    names = [w for w in words if w != "--no-prompt"]
    cut = next(n for n in count() if n == len(names) or names[n][0] == "-")
    command = tuple(names[:cut])
    if command not in HELP:
        told = invoke_and_assert([*command, "--help"], expected_code=0)
        HELP[command] = told.stdout
    options = [w.partition("=")[0] for w in names[cut:] if w.startswith("--")]
    for option in options:
        assert option in HELP[command], words
    if "--prefect-file" in names:
        file = names[names.index("--prefect-file") + 1]
        assert (STARTER / file).exists(), file
    for name in re.findall(r"--pool[ =](\S+)", " ".join(names)):
        pools = {"daily-sales", *(f"daily-sales-{kind}" for kind in WORKERS)}
        assert name in pools
