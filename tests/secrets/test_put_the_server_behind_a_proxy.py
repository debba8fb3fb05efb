import os
import re
from base64 import b64encode
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from tests.backend import begin_migrated, free_port, nginx, patient, serve
from tests.book import ROOT
from tests.observe import settles
from tests.programs import python
from tests.site import web

ROOM = ROOT / "snippets/secrets/put_the_server_behind_a_proxy"
SHARED = os.environ["PREFECT_API_URL"].removesuffix("/api")
PASSWORD = "not-a-real-password"
PUBLIC = "https://data.example.org/prefect"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where a certificate authority of our own has signed a certificate."""
    home = tmp_path_factory.mktemp("proxy")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(home / "proxy.key")
    certificate.cert_chain_pems[0].write_to_path(home / "proxy.pem")
    (home / "password").write_text(PASSWORD)
    return home


def here(name, **replaced):
    """A file of the page, with the names and addresses of this machine."""
    text = (ROOM / name).read_text("utf-8")
    for shown, own in replaced.items():
        assert shown in text
        text = text.replace(shown, str(own))
    return text


@contextmanager
def behind(home, server, **more):
    """Run the proxy of the page in front of a server."""
    port = free_port()
    replaced = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server_name data.example.org;": "server_name 127.0.0.1;",
        "/etc/nginx/data.example.org.pem": home / "proxy.pem",
        "/etc/nginx/data.example.org.key": home / "proxy.key",
        "http://127.0.0.1:4200": server,
    }
    folder = home / f"nginx-{port}"
    folder.mkdir()
    with nginx(folder, here("proxy.conf", **replaced, **more), port):
        yield f"https://127.0.0.1:{port}/prefect"


@pytest.fixture(scope="module")
def server(home):
    """What do.sh starts, and the proxy in front of it: both addresses."""
    port = free_port()
    begin_migrated(home)
    direct = f"http://127.0.0.1:{port}"
    own = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_PORT": str(port),
        # Else it writes the prefix into the dashboard of the installed Prefect.
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
    }
    environment = os.environ | own
    environment.pop("PREFECT_API_URL")
    with behind(home, direct) as url, (home / "server.log").open("w") as log:
        script = here("do.sh", **{PUBLIC: url})
        with serve(
            ["sh", "-c", script],
            f"{direct}/prefect/api/health",
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        ):
            yield url, direct


@pytest.fixture
def client(server, home, tmp_path):
    """Run Prefect's command line, or a program, as client.toml sets it up."""
    url, _ = server
    password = f"admin:{PASSWORD}"

    def run(*command, password=password, url=url, without="nothing", **more):
        authority = home / "authority.pem"
        changes = {PUBLIC: url, "/etc/ssl/our-own-authority.pem": authority}
        lines = here("client.toml", **changes).splitlines(keepends=True)
        told = "".join(line for line in lines if without not in line)
        (tmp_path / "prefect.toml").write_text(told)
        return python(
            *command,
            cwd=tmp_path,
            PREFECT_API_URL=None,
            PREFECT_API_AUTH_STRING=password,
            **more,
        )

    return run


@pytest.fixture
def program(tmp_path):
    """A flow of three tasks, which prints the id of its run."""
    file = tmp_path / "load_shops.py"
    file.write_text(
        "from prefect import flow, task\n"
        "@task\n"
        "def load_shop(shop): ...\n"
        "@flow\n"
        "def load_shops():\n"
        "    for shop in range(3): load_shop(shop)\n"
        "print(load_shops(return_state=True).state_details.flow_run_id)\n"
    )
    return file


def recorded_tasks(direct, run_id):
    """How many task runs of a flow run a server has."""
    return len(
        httpx.post(
            f"{direct}/prefect/api/task_runs/filter",
            auth=("admin", PASSWORD),
            json={"flow_runs": {"id": {"any_": [run_id.strip()]}}},
        )
        .raise_for_status()
        .json()
    )


@contextmanager
def browser():
    """A page of a browser that trusts our authority, and what it got."""
    with (
        web.chromium() as chromium,
        chromium.new_context(ignore_https_errors=True) as context,
    ):
        context.set_default_timeout(patient(20) * 1000)
        elsewhere = re.compile(r"^https?://(?!127\.)")
        context.route(elsewhere, lambda route: route.abort())
        view, got = context.new_page(), []
        view.on("response", lambda r: got.append((r.status, r.url)))
        yield view, got


def pages_and_scripts(got):
    """A line for each page and each folder of scripts that a browser asked."""
    found = {
        (re.sub(r"/[^/]+\.js$", "/*.js", urlsplit(url).path), status)
        for status, url in got
    }
    lines = [f"{s} {p}\n" for p, s in sorted(found) if p.endswith(("/", ".js"))]
    return "".join(lines)


def test_the_dashboard_finds_its_scripts_and_asks_for_the_password(
    server, home, record
):
    """A proxy gives the server a new address, and the server, its dashboard and
    its clients do not know it unless you tell them.

    The dashboard asks for its scripts at `/assets/`, where the proxy has
    nothing, so the page stays white.

    The dashboard asks for `admin:` and the password, and refuses a wrong one.

    The server writes the prefix into a copy of the dashboard's files. Where it
    may not write beside its own code, as in a read-only container, set
    `PREFECT_UI_STATIC_DIRECTORY` to a folder where it may.
    """
    url, _ = server
    # What this starts is the server that all tests share.
    assert (ROOM / "dont.sh").read_text("utf-8") == (
        "exec prefect server start\n"
    )
    with behind(home, SHARED) as prefix, browser() as (view, got):
        view.goto(f"{prefix}/", wait_until="networkidle")
        assert view.inner_text("body").strip() == ""
        record(ROOM / "dont.txt", pages_and_scripts(got))

        got.clear()
        view.goto(f"{url}/")
        view.wait_for_url(f"{url}/v2/login*")
        secret = view.locator("input[type=password]")
        secret.fill("admin:a-guess")
        secret.press("Enter")
        view.get_by_text("Invalid credentials").wait_for()
        secret.fill(f"admin:{PASSWORD}")
        secret.press("Enter")
        view.wait_for_url(f"{url}/v2/dashboard*")
        view.get_by_role("link", name="Runs").first.click()
        view.wait_for_url(f"{url}/v2/runs*")
        record(ROOM / "do.txt", pages_and_scripts(got))
    assert not [address for status, address in got if status == 404]
    index = (home / "ui/v2/index.html").read_text("utf-8")
    assert 'src="/prefect/v2/assets/' in index


def test_a_client_must_know_the_authority(client, server, program):
    """A proxy gives the server a new address, and the server, its dashboard and
    its clients do not know it unless you tell them.

    Prefect's client does not know your authority, so it refuses the
    certificate.

    With the file of `client.toml` the client trusts your authority, for HTTPS
    and for websockets.

    `PREFECT_API_TLS_INSECURE_SKIP_VERIFY=true` also ends the error, because the
    client then trusts whoever answers.
    """
    ls = ("-m", "prefect", "work-pool", "ls")
    refused = client(*ls, without="ssl_cert_file")
    assert refused.returncode == 1
    assert (
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to"
        " get local issuer certificate" in refused.stderr
    )
    blind = {"PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true"}
    assert client(*ls, without="ssl_cert_file", **blind).returncode == 0

    ran = client(program)
    assert ran.returncode == 0, ran.stderr
    _, direct = server
    settles(lambda: recorded_tasks(direct, ran.stdout), 3)


def test_a_proxy_cannot_know_the_password_for_its_clients(
    client, server, home, program
):
    """If the proxy adds the password to each request, clients seem to need
    none, but a websocket asks the client itself, and its task runs are lost.
    """
    _, direct = server
    known = b64encode(f"admin:{PASSWORD}".encode()).decode()
    added = f'proxy_set_header Authorization "Basic {known}";'
    more = {"proxy_http_version 1.1;": f"proxy_http_version 1.1; {added}"}
    with behind(home, direct, **more) as url:
        ran = client(program, url=url, password=None)
    assert ran.returncode == 0, ran.stderr
    assert "Unable to authenticate to the event stream" in ran.stderr
    assert "Reason: Auth required but no token provided" in ran.stderr

    later = client(program)
    settles(lambda: recorded_tasks(direct, later.stdout), 3)
    assert recorded_tasks(direct, ran.stdout) == 0
