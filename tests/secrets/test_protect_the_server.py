import os
from contextlib import contextmanager

import pytest
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    temporary_settings,
)

from tests.backend import begin_migrated, free_port, serve
from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/secrets/protect_the_server"


def stranger(url):
    return python(ROOM / "stranger.py", cwd=ROOM, PREFECT_API_URL=url).stdout


def thief(home):
    command = (ROOM / "thief.py", home / "prefect.db")
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
        temporary_settings({PREFECT_API_URL: url}),
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
        Secret(value="not-a-real-token").save("bank-token")
        yield url


@pytest.fixture(scope="module")
def closed_server(open_server, home):
    with started("do.sh", home) as url:
        password = (home / "password").read_text().strip()
        with temporary_settings({PREFECT_API_AUTH_STRING: f"admin:{password}"}):
            Secret(value="not-a-real-token").save("new-bank-token")
            yield url


def test_without_a_password_a_stranger_reads_the_block(open_server):
    answer = stranger(open_server)
    assert answer == "200 {'value': 'not-a-real-token'}\n"


def test_the_key_of_the_blocks_stands_beside_them(open_server, home):
    found = thief(home)
    assert 'bank-token: {"value": "not-a-real-token"}' in found


def test_with_a_password_a_stranger_gets_nothing(closed_server):
    answer = stranger(closed_server)
    assert answer == '401 {"exception_message":"Unauthorized"}\n'

    assert Secret.load("new-bank-token").get() == "not-a-real-token"


def test_with_a_key_of_your_own_the_database_is_not_enough(closed_server, home):
    found = thief(home)
    assert "new-bank-token: encrypted with another key" in found


def test_blocks_from_before_the_key_can_no_longer_be_read(closed_server, home):
    with pytest.raises(PrefectHTTPStatusError, match="Internal Server Error"):
        Secret.load("bank-token")

    log = (home / "do.sh.log").read_text()
    assert "cryptography.fernet.InvalidToken" in log
