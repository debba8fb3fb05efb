import os
from base64 import b64decode
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx
import prefect
import pytest
from cryptography.fernet import Fernet
from prefect import flow, get_run_logger
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogHandler
from prefect.settings import (
    Settings,
)
from prefect.variables import Variable

from tests.backend import begin_migrated, free_port, serve
from tests.book import ROOT
from tests.observe import client_of, log_messages, settles
from tests.programs import python, tool

ROOM = ROOT / "snippets/secrets/protect_the_server"


def stranger(url):
    return python(ROOM / "stranger.py", cwd=ROOM, PREFECT_API_URL=url).stdout


def read_backup(home):
    command = (ROOM / "read_backup.py", home / "prefect.db")
    return python(*command, cwd=home).stdout.splitlines()


@contextmanager
def started(script, home):
    port = str(free_port())
    settings = {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": port}
    environment = os.environ | settings
    environment.pop("PREFECT_API_URL")
    url = f"http://127.0.0.1:{port}/api"
    with (
        (home / f"{script}.log").open("w") as log,
        serve(
            ["sh", str(ROOM / script)],
            f"{url}/health",
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        ),
    ):
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("server")
    begin_migrated(home)
    return home


@pytest.fixture(scope="module")
def open_server(home):
    with started("dont.sh", home) as url:
        with client_of(url):
            Secret(value="not-a-real-token").save("bank-token")
        yield url


@pytest.fixture(scope="module")
def closed_server(open_server, home):
    with started("do.sh", home) as url:
        with client_of(url, password_in(home)):
            Secret(value="not-a-real-token").save("new-bank-token")
        yield url


def password_in(home):
    return f"admin:{(home / 'password').read_text().strip()}"


def test_what_the_api_returns(api, table, tmp_path, monkeypatch):
    """The API returns what is in a parameter, a job variable, a Variable or a
    log, so no secret belongs there.
    """
    token = token_hex()
    monkeypatch.setenv("SHOP_TOKEN", token)

    @flow(persist_result=True)
    def load(said="nothing", given=None):
        get_run_logger().info(f"The shop says {said}")
        return os.environ["SHOP_TOKEN"]

    def run(**parameters):
        state = load(return_state=True, **parameters)
        return api.read_flow_run(state.state_details.flow_run_id), state

    def logs(state):
        APILogHandler().flush()
        settles(lambda: "shop says" in str(log_messages(api, state)), True)
        return log_messages(api, state)

    undisclosed, _ = run()
    deployment = api.create_deployment(
        undisclosed.flow_id,
        "shop-token",
        job_variables={"env": {"SHOP_TOKEN": token}},
    )
    Variable.set("shop-token-in-clear", token)
    Secret(value=token).save("shop-token-in-a-block")
    block = ("shop-token-in-a-block", "secret")
    asked = "a Secret block, if a client asks for the secret"
    never = "never"
    seen = {
        "a parameter": (run(given=token)[0].parameters, never),
        "a job variable": (
            api.read_deployment(deployment).job_variables,
            never,
        ),
        "a Variable": (
            api.read_variable_by_name("shop-token-in-clear").value,
            never,
        ),
        "a log": (logs(run(said=token)[1]), never),
        "a result": (
            undisclosed,
            "never, because [its file can be decoded]"
            "(keep-secrets-out-of-results.md)",
        ),
        "a Secret block": (
            api.read_block_document_by_name(*block, include_secrets=False).data,
            "on a protected server",
        ),
        asked: (
            api.read_block_document_by_name(*block, include_secrets=True).data,
            "so protect the server",
        ),
        "the environment of the worker": (
            undisclosed,
            "for what every flow on that worker may know",
        ),
    }
    api.delete_deployment(deployment)
    Variable.unset("shop-token-in-clear")
    Secret.delete("shop-token-in-a-block")

    shown = {place for place, (text, _) in seen.items() if token in str(text)}
    assert shown == {*[*seen][:4], asked}
    head = ["A secret in", "The API returns it", "Advice"]
    rows = [
        [place, "yes" if place in shown else "no", advice]
        for place, (_, advice) in seen.items()
    ]
    table("places.md", head, rows)


def test_without_a_password_a_stranger_reads_the_block(open_server):
    """A Secret block is as safe as its server, and a new server gives the
    secret to everyone who can reach it.

    The API returns the value of a Secret block to every client that asks for
    it, because your flows need it.
    """
    answer = stranger(open_server)
    assert answer == "200 {'value': 'not-a-real-token'}\n"


def test_the_defaults_of_a_server(monkeypatch):
    """A server has no password by default. It listens only on `127.0.0.1`, but
    that changes when you share it with your team.
    """
    api = Settings().server.api
    assert (api.auth_string, api.host) == (None, "127.0.0.1")


def test_the_key_of_the_blocks_stands_beside_them(open_server, home):
    """Prefect encrypts the values of blocks, but with a key that it stores in
    the table `configuration` of the same database.

    With a database of the server above, `python read_backup.py prefect.db`
    prints `bank-token: {"value": "not-a-real-token"}`.
    """
    found = read_backup(home)
    assert 'bank-token: {"value": "not-a-real-token"}' in found
    assert b"not-a-real-token" not in (home / "prefect.db").read_bytes()


def test_postgresql_has_the_same_tables():
    """The program reads SQLite; PostgreSQL has the same two tables."""
    database = Path(prefect.__file__).parent / "server/database"
    postgresql = database / "_migrations/versions/postgresql"
    made = " ".join(
        " ".join(file.read_text().split()) for file in postgresql.glob("*.py")
    )
    assert 'op.create_table( "configuration",' in made
    assert 'op.rename_table("block", "block_document")' in made
    program = (ROOM / "read_backup.py").read_text()
    assert "FROM configuration" in program
    assert "FROM block_document" in program


def test_with_a_password_a_stranger_gets_nothing(closed_server, home):
    """On a server that is protected, a client without the right password gets
    this answer, with status 401:

    Each client needs `admin:` and the password as `PREFECT_API_AUTH_STRING`:
    the worker, the flow, the machine that deploys.

    Every client that has the password can load every block, so teams that must
    not read one another's secrets need servers of their own.
    """
    answer = stranger(closed_server)
    assert answer == '401 {"exception_message":"Unauthorized"}\n'

    right = password_in(home)
    with client_of(closed_server, right):
        assert Secret.load("new-bank-token").get() == "not-a-real-token"
    for wrong in ("admin:a-guess", right.removeprefix("admin:")):
        with (
            client_of(closed_server, wrong),
            pytest.raises(PrefectHTTPStatusError, match="401"),
        ):
            Secret.load("new-bank-token")


def test_probes_need_no_password(closed_server):
    """The addresses `/api/health` and `/api/ready` answer without a password,
    for probes.
    """
    seen = {
        path: httpx.get(f"{closed_server}/{path}").status_code
        for path in ("health", "ready", "version")
    }
    assert seen == {"health": 200, "ready": 200, "version": 401}


def test_with_a_key_of_your_own_the_database_is_not_enough(closed_server, home):
    """Now `stranger.py` gets a 401, and `read_backup.py` prints `encrypted
    with another key` for blocks that you store from now on.
    """
    found = read_backup(home)
    assert "new-bank-token: encrypted with another key" in found
    assert stranger(closed_server).startswith("401")


def test_blocks_from_before_the_key_can_no_longer_be_read(closed_server, home):
    """With a key of your own, the server does not try the old one, so loading
    a block from before ends in a `500 Internal Server Error`.

    If the server got a new key after blocks were stored, its log shows this
    when someone loads one of them:
    """
    with (
        client_of(closed_server, password_in(home)),
        pytest.raises(PrefectHTTPStatusError, match="500 Internal Server Err"),
    ):
        Secret.load("bank-token")

    log = (home / "do.sh.log").read_text()
    assert "cryptography.fernet.InvalidToken" in log


def test_do_keeps_its_password_until_you_delete_it(tmp_path):
    """To change the password, delete the file `password` and start `do.sh`
    again.
    """
    prefect = tmp_path / "prefect"
    prefect.write_text(
        "#!/bin/sh\necho $PREFECT_SERVER_API_AUTH_STRING"
        " $PREFECT_SERVER_ENCRYPTION_KEY $*\n"
    )
    prefect.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def start():
        command = ("sh", ROOM / "do.sh")
        run = tool(*command, cwd=tmp_path, env=os.environ | {"PATH": path})
        return run.stdout.split()

    first = start()
    user, password = first[0].split(":")
    assert (user, len(password) > 30) == ("admin", True)
    assert Fernet(first[1])
    assert first[2:] == ["server", "start"]
    for name in ("password", "key"):
        assert Path(tmp_path, name).stat().st_mode & 0o077 == 0

    assert start() == first
    Path(tmp_path, "password").unlink()
    again = start()
    assert again[0] != first[0]
    assert again[1:] == first[1:]


def test_the_client_sends_the_password_with_each_request(closed_server, home):
    """The client sends the password with each request."""
    sent = []

    def note(request):
        kind, encoded = request.headers["Authorization"].split()
        sent.append((kind, b64decode(encoded).decode()))

    with (
        client_of(closed_server, password_in(home)) as client,
    ):
        client._client.event_hooks["request"] = [note]
        client.read_flows()
        client.read_flows()

    assert len(sent) >= 2
    assert set(sent) == {("Basic", password_in(home))}
