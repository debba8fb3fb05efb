# The git host of these tests is Git's own server behind HTTPS on loopback.
import asyncio
import shutil
from contextlib import chdir, suppress
from pathlib import Path

import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.deployments.steps.core import run_steps
from prefect.exceptions import ObjectNotFound
from prefect.runner.storage import GitRepository
from prefect.testing.cli import invoke_and_assert
from prefect.workers.process import ProcessWorker

from tests import git_host
from tests.book import ROOT
from tests.git_host import git
from tests.observe import log_messages, settles
from tests.programs import python

ROOM = ROOT / "snippets/version_control/clone_private_code"
DONT, DO = ((ROOM / f).read_text() for f in ("dont.yaml", "do.yaml"))
NAME = "revenue/private-code"
POOL = WorkPoolCreate(name="private-code-pool", type="process")
BLOCK = "clone-token"
TOKEN = "not-a-real-token"
STEP = "prefect.deployments.steps.git_clone"
CODE = "from prefect import flow\n\n\n@flow\ndef revenue():\n    return 1200\n"


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A git host on loopback with the private repository `shop.git`."""
    for name, value in git_host.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "host"
    folder.mkdir()
    with chdir(folder):
        git("init", "--initial-branch=main", "code")
        Path("code/revenue.py").write_text(CODE)
        git("-C", "code", "add", ".")
        git("-C", "code", "commit", "--message", "Report the revenue")
        git("clone", "--bare", "code", "shop.git")
    with git_host.git_host(folder, TOKEN) as server:
        yield server


@pytest.fixture
def private(host, monkeypatch):
    """The same host with HTTPS, and Git trusts its certificate."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(git_host.add_https(host)))
    return host


@pytest.fixture
def pool(api):
    """The work pool and the block that the files name."""
    api.create_work_pool(POOL, overwrite=True)
    Secret(value=TOKEN).save(BLOCK, overwrite=True)
    yield
    with suppress(ObjectNotFound):
        api.delete_deployment(api.read_deployment_by_name(NAME).id)
    api.delete_work_pool(POOL.name)
    Secret.delete(BLOCK)


def deploy(api, text, host):
    """Deploy from a prefect.yaml in a clone, and return the pull steps."""
    with chdir(host.folder / "code"):
        real = text.replace("git.example.org", host.address)
        Path("prefect.yaml").write_text(real)
        invoke_and_assert(["deploy", "--all"], expected_code=0)
    return api.read_deployment_by_name(NAME).pull_steps


def run_by_a_worker(api):
    run = run_deployment(NAME, timeout=0)
    asyncio.run(ProcessWorker(POOL.name).start(run_once=True))
    return api.read_flow_run(run.id).state


def look(api, host):
    """What look.py prints, as if the host had the name in the files."""
    deployment = f"prefect.deployment.{api.read_deployment_by_name(NAME).id}"
    pulled = {"name": ["prefect.flow-run.pull-step.executed"]}
    sent = {"filter": {"event": pulled, "related": {"id": [deployment]}}}
    settles(
        lambda: api.request("POST", "/events/filter", json=sent).json()[
            "total"
        ],
        1,
    )
    ended = python(ROOM / "look.py", cwd=ROOM)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.replace(host.address, "git.example.org")


def cloned(steps, folder):
    """Carry out pull steps in a new folder, as a run does."""
    folder.mkdir()
    with chdir(folder):
        asyncio.run(run_steps(steps))
    assert (folder / "shop/revenue.py").read_text() == CODE
    return folder / "shop"


def refused(url, **credentials):
    """What the output of the worker says when Git cannot clone."""
    with pytest.raises(RuntimeError, match="Failed to clone repo") as caught:
        asyncio.run(GitRepository(url, credentials).pull_code())
    return str(caught.value)


def test_a_token_from_the_environment_is_stored_in_clear(
    private, pool, api, monkeypatch, capfd
):
    """A token that prefect deploy reads from the environment is stored in
    clear, with the deployment and in the event of each run.

    `prefect deploy` replaces `{{ $GIT_TOKEN }}` with the value of the variable
    on the machine that deploys.

    Each run sends an event with its pull step, and the server stores that too.

    When the host refuses the token, because it expired or somebody replaced
    it, each run is `Crashed`. The log of the run does not say why. The output
    of the worker does:
    """
    monkeypatch.setenv("GIT_TOKEN", TOKEN)
    deploy(api, DONT, private)
    monkeypatch.delenv("GIT_TOKEN")
    assert run_by_a_worker(api).is_completed()
    assert look(api, private) == (ROOM / "dont.txt").read_text()

    private.token = "a-new-token"
    Secret(value="a-new-token").save(BLOCK, overwrite=True)
    capfd.readouterr()
    crashed = run_by_a_worker(api)
    assert crashed.is_crashed()
    why = "fatal: could not read Password for"
    assert why in capfd.readouterr().err
    settles(lambda: "step: git_clone" in str(log_messages(api, crashed)), True)
    assert why not in str(log_messages(api, crashed))


def test_a_run_reads_the_block_that_the_reference_names(private, pool, api):
    """The deployment and the events hold the reference as text. Each run reads
    the block before it clones, so after you change the token in the block,
    the next run uses the new one, and nobody has to deploy.
    """
    deploy(api, DO, private)
    private.token = "a-new-token"
    Secret(value="a-new-token").save(BLOCK, overwrite=True)
    assert run_by_a_worker(api).is_completed()
    assert "a-new-token:" in private.given
    assert look(api, private) == (ROOM / "do.txt").read_text()


def test_the_address_of_the_clone_can_hold_a_token(private, pool, api):
    """The address can bring a token too: if a build step takes it from `git
    remote get-url origin`, and your clone was made with a token in the
    address, the deployment gets both.
    """
    address = f"https://{TOKEN}@{private.address}/shop.git"
    git("-C", str(private.folder / "code"), "remote", "add", "origin", address)
    step = {"id": "origin", "script": "git remote get-url origin"}
    shell = "prefect.deployments.steps.run_shell_script"
    file = yaml.safe_load(DO) | {"build": [{shell: step}]}
    (declared,) = file["deployments"]
    declared["pull"] = [{STEP: {"repository": "{{ origin.stdout }}"}}]
    (stored,) = deploy(api, yaml.dump(file), private)
    assert stored == {STEP: {"repository": address}}


def test_in_python_give_the_block(pool):
    """In Python, give the block itself: `GitRepository(url,
    credentials={"access_token": Secret.load("clone-token")})` becomes such a
    reference. With the token as text, Prefect refuses to make a pull step of
    it:
    """
    url = "https://git.example.org/shop.git"
    block = Secret.load(BLOCK)
    step = GitRepository(url, {"access_token": block}).to_pull_step()[STEP]
    (declared,) = yaml.safe_load(DO)["deployments"]
    reference = declared["pull"][0][STEP]["access_token"]
    assert step["credentials"] == {"access_token": reference}
    with pytest.raises(
        ValueError, match="Please save your access token as a Secret block"
    ):
        GitRepository(url, {"access_token": TOKEN}).to_pull_step()


def test_git_on_the_worker_can_have_the_token(
    private, pool, api, tmp_path, monkeypatch
):
    """If Prefect must not know the token, leave out `access_token`, and give
    Git on the worker a credential helper. Then the deployment holds nothing but
    the address.
    """
    file = yaml.safe_load(DO)
    (declared,) = file["deployments"]
    del declared["pull"][0][STEP]["access_token"]
    (step,) = deploy(api, yaml.dump(file), private)
    assert step[STEP].keys() == {"repository"}

    known = tmp_path / "credentials"
    known.write_text(f"https://worker:{TOKEN}@{private.address}\n")
    config = tmp_path / "gitconfig"
    config.write_text(f"[credential]\nhelper = store --file {known}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    cloned([step], tmp_path / "run")


def test_git_keeps_the_token_in_the_clone(private, pool, api, tmp_path):
    """Git writes the token into `.git/config` of the clone, where the code of
    the flow can read it.
    """
    clone = cloned(deploy(api, DO, private), tmp_path / "run")
    assert f"https://{TOKEN}@" in (clone / ".git/config").read_text()


def test_what_git_says_and_why(private, tmp_path, monkeypatch, table):
    """The last words of the message say what is wrong:"""
    monkeypatch.chdir(tmp_path)
    url = f"https://{private.address}/shop.git"
    nobody = refused(url)
    wrong = refused(url, access_token="an-old-token")
    both = refused(url, access_token="an-old-token", username="oauth2")
    assert set(private.given) == {"", "an-old-token:", "oauth2:an-old-token"}

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    ssh = refused("git@git.example.org:shop.git")
    seen = {
        "fatal: could not read Username for": (
            nobody,
            "Prefect sent no token: none is given, or the address begins with"
            " `http://`",
        ),
        "fatal: could not read Password for": (
            wrong,
            "the host refused the token",
        ),
        "Hint: Check that your credentials or access token are correct and not"
        " expired.": (both, "the host refused the user name and the token"),
        "error: cannot run ssh: No such file or directory": (
            ssh,
            "the address begins with `git@`, and there is no `ssh`",
        ),
    }
    for text, (said, _) in seen.items():
        assert text in said
    table(
        "messages.md",
        ["The message says", "Why"],
        [[f"`{text}`", why] for text, (_, why) in seen.items()],
    )


def test_over_http_no_token_is_sent(host, tmp_path, monkeypatch, caplog):
    """Prefect sends the token only to an address that begins with `https://`;
    with `http://` it leaves it out, and without a warning.
    """
    monkeypatch.chdir(tmp_path)
    url = f"http://{host.address}/shop.git"
    said = refused(url, access_token=TOKEN)
    assert "fatal: could not read Username for" in said
    assert set(host.given) == {""}
    assert not caplog.messages
