"""The server of compose.yaml, started here as compose starts it."""

import os
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from secrets import token_hex

import httpx
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from tests import backend
from tests.book import ROOT
from tests.observe import settles
from tests.programs import tool
from tests.starter import FOLDER, read, settings_of_the_package

COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]
SERVER = SERVICES["api"]["environment"]
REFERENCE = re.compile(r"\$\{(\w+):\?[^}]+\}")


def example():
    """The variables of `.env.example`."""
    lines = (FOLDER / ".env.example").read_text("utf-8")
    return dict(re.findall(r"^(\w+)=(.*)$", lines, re.M))


def test_compose_yaml_has_the_form_of_its_schema():
    schema = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    checked = tool(*schema, FOLDER / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


def test_env_example_has_what_is_asked_for_and_no_more(package):
    text = (FOLDER / "compose.yaml").read_text("utf-8")
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
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    version = SERVICES["api"]["image"].partition(":")[2].partition("-")[0]
    assert f"prefect=={version}" in project["dependencies"]


def test_what_is_built_is_a_stage_of_the_dockerfile():
    text = (FOLDER / "Dockerfile").read_text("utf-8")
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
