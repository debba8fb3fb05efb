# Both programs run slowest.py, with what older_server.py installs.
import runpy
import sys
from types import SimpleNamespace

import prefect
import pytest
from prefect.client.base import ServerType

from tests.book import ROOT

ROOM = ROOT / "snippets/version_control/match_client_and_server"
OLDER = "3.8.8"
WARNING = (
    "Your Prefect server is running an older version of Prefect than your"
    " client which may result in unexpected behavior."
)


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """An older Prefect: what runs it, its Python, and its server."""
    folder = str(tmp_path_factory.mktemp("older"))
    programs = runpy.run_path(str(ROOM / "older_server.py"))
    python = programs["install"](OLDER, folder)
    with programs["server"](OLDER, folder) as url:
        yield SimpleNamespace(**programs, client=python, url=url)


def test_a_newer_client_is_warned_and_then_fails(older):
    """A server refuses what it does not know, so a client that is newer than
    its server works until it uses something new.

    When a flow starts, Prefect's client asks the server for its version.

    If the client is newer, it logs the warning above and goes on.

    The server validates each request, and answers 422 to a value that it does
    not know.
    """
    output, log = older.report(sys.executable, older.url)

    assert output == "422 Invalid request received."
    assert log.index(WARNING) < log.index("Beginning flow run")
    assert (
        f"Please upgrade your Prefect server from version {OLDER} to version"
        f" {prefect.__version__} or higher."
    ) in log


def test_without_the_check_it_fails_without_a_warning(older):
    """`PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED=false` takes away the
    warning, and not the error.
    """
    output, log = older.report(
        sys.executable,
        older.url,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED="false",
    )

    assert output == "422 Invalid request received."
    assert WARNING not in log


def test_the_server_says_its_version(older, api):
    """The server tells its version at `/api/admin/version`, where `curl` can
    ask too.
    """
    assert older.url.endswith("/api")
    assert older.version_of(older.url) == OLDER
    pinned = str(api.api_url).rstrip("/")
    assert older.version_of(pinned) == prefect.__version__


def test_an_older_client_works_and_gets_no_warning(older, api):
    """In between, the clients are older than the server. A client of version
    3.8.8 runs the report on a newer server, without a warning.
    """
    output, log = older.report(older.client, str(api.api_url))

    assert output == "The report is written."
    assert WARNING not in log


def test_another_major_version_is_refused(api, monkeypatch):
    """It refuses to go on only if the first number differs, with the message
    `Major versions must match.`
    """
    monkeypatch.setattr(prefect, "__version__", "4.0.0")

    with pytest.raises(
        RuntimeError,
        match=r"Found incompatible versions: client: 4.0.0, server: 3.*"
        r"Major versions must match.",
    ):
        api.raise_for_api_version_mismatch()


def test_on_prefect_cloud_nothing_is_checked(api, monkeypatch):
    """On Prefect Cloud the client makes no such check."""
    monkeypatch.setattr(prefect, "__version__", "4.0.0")
    monkeypatch.setattr(api, "server_type", ServerType.CLOUD)
    monkeypatch.setattr(api, "api_version", lambda: pytest.fail("it asks"))

    assert api.raise_for_api_version_mismatch() is None
