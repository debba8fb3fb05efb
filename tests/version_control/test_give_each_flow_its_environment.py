# The worker's environment and the package index are made anew for each test.
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import requires
from pathlib import Path
from threading import Thread

import prefect
import pytest
import yaml
from packaging.requirements import Requirement
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.testing.cli import invoke_and_assert
from prefect.workers.process import ProcessWorker

from tests.book import ROOT
from tests.observe import log_messages, settles
from tests.programs import tool

ROOM = ROOT / "snippets/version_control/give_each_flow_its_environment"
DONT, DO = ((ROOM / f).read_text() for f in ("dont.yaml", "do.yaml"))
POOL = WorkPoolCreate(name="one-machine", type="process")
# What the runs of this suite import besides the package of the story.
SUITE = Path(prefect.__file__).parents[1]
TOTALS = {
    "1.0": "def with_tax(euros):\n    return euros * 119 // 100\n",
    "2.0": "def with_tax(euros):\n    return euros * 119\n",
}
STEPS = "prefect.deployments.steps"


def add_wheel(index, project, version, file, text):
    module = project.replace("-", "_")
    about = f"{module}-{version}.dist-info"
    files = {
        file: text,
        f"{about}/METADATA": (
            f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        ),
        f"{about}/WHEEL": (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in files)
    folder = index / "simple" / project
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index on loopback. What it calls Prefect is the suite's."""
    folder = tmp_path / "index"
    for version, code in TOTALS.items():
        add_wheel(folder, "shop-rates", version, "shop_rates.py", code)
    add_wheel(folder, "prefect", prefect.__version__, "suite.pth", f"{SUITE}\n")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    )
    Thread(target=server.serve_forever).start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    for name in [name for name in os.environ if name[:3] in ("UV_", "PIP")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def worker(index, tmp_path, monkeypatch):
    """The new environment of a worker that has Prefect and pip."""
    # pip is left out of what it has from the suite, so a test can take it away.
    shared = tmp_path / "shared"
    shared.mkdir()
    for file in SUITE.iterdir():
        if file.name.split("-")[0] != "pip":
            (shared / file.name).symlink_to(file)
    folder = tmp_path / "worker"
    made = tool("uv", "venv", "--python", sys.executable, folder)
    assert made.returncode == 0, made.stderr
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "shared.pth").write_text(f"{shared}\n")
    (packages / "pip").symlink_to(SUITE / "pip")
    # A process worker starts a run with the Python that it runs on itself.
    monkeypatch.setattr(sys, "executable", str(folder / "bin/python"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return packages


@pytest.fixture
def host(tmp_path):
    """The repositories of the two flows: one is the program, one differs."""
    host = tmp_path / "host"
    both = [(ROOM / f).read_text() for f in ("orders.py", "pyproject.toml")]
    for name, version in (("orders", "1.0"), ("invoices", "2.0")):
        code, project = (
            text.replace("orders", name).replace("==1.0", f"=={version}")
            for text in both
        )
        folder = host / f"{name}.git"
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text(code)
        (folder / "pyproject.toml").write_text(project)
        (folder / "requirements.txt").write_text(f"shop-rates=={version}\n")
        commit(folder)
    return host


def commit(folder):
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    save = ["commit", "--quiet", "--message=Compute the totals"]
    for command in (["init", "--quiet"], ["add", "."], save):
        subprocess.check_call(["git", *author, *command], cwd=folder)


@pytest.fixture
def deploy(api, host, tmp_path, monkeypatch):
    """Deploy what a file declares, and give the ids of the deployments."""
    monkeypatch.chdir(tmp_path)
    for name in ("orders", "invoices"):
        shutil.copy(host / f"{name}.git/{name}.py", ".")
    api.create_work_pool(POOL, overwrite=True)
    ids = []

    def deploy(*deployments):
        text = yaml.dump({"deployments": [*deployments]})
        text = text.replace("https://git.example.org", str(host))
        Path("prefect.yaml").write_text(text)
        invoke_and_assert(["deploy", "--all"], expected_code=0)
        for one in deployments:
            name = f"{one['entrypoint'].split(':')[1]}/{one['name']}"
            ids.append(api.read_deployment_by_name(name).id)
        return ids

    yield deploy
    for deployment in ids:
        api.delete_deployment(deployment)
    api.delete_work_pool(POOL.name)


def declared(text):
    return yaml.safe_load(text)["deployments"]


def work():
    return ProcessWorker(POOL.name).start(run_once=True)


def run(api, *deployments, **job_variables):
    """Let a worker start a run of each at the same time; give their states."""
    runs = [
        api.create_flow_run_from_deployment(one, job_variables=job_variables)
        for one in deployments
    ]
    asyncio.run(work())
    return [api.read_flow_run(one.id).state for one in runs]


def logs(api, state):
    return "\n".join(log_messages(api, state))


def said(api, state):
    """The state of a run, and what it printed."""

    def printed():
        return re.findall("^shop-rates .*", logs(api, state), re.MULTILINE)

    settles(lambda: len(printed()), 1)
    return ", ".join([state.name, *printed()])


def output(api, orders, invoices):
    return f"orders:   {said(api, orders)}\ninvoices: {said(api, invoices)}\n"


def installed(packages):
    return [file.name for file in packages.glob("shop_rates-*")]


def test_a_run_computes_with_the_version_of_another(
    api, worker, deploy, tmp_path
):
    """A pull step with pip installs into the environment of the worker, so a
    run beside it computes with the wrong version and is Completed.

    A process worker starts each run with its own Python, and the step calls
    pip with it, so all its runs share one environment. A run imports its
    packages after its pull steps. Here `invoices` replaced the version of
    `orders` between the two. Nothing takes a package away when the run ends.
    """
    waits, goes_on = tmp_path / "waits", tmp_path / "goes-on"
    wait = f"touch {waits}; until test -e {goes_on}; do sleep 0.1; done"
    script = f"timeout 99 sh -c '{wait}'"
    orders, invoices = declared(DONT)
    orders["pull"].append({f"{STEPS}.run_shell_script": {"script": script}})
    orders, invoices = deploy(orders, invoices)
    first = api.create_flow_run_from_deployment(orders)
    second = []

    def begin_the_other():
        settles(waits.exists, True)
        assert installed(worker) == ["shop_rates-1.0.dist-info"]
        second.extend(run(api, invoices))

    def go_on():
        settles(lambda: installed(worker), ["shop_rates-2.0.dist-info"], 60)
        goes_on.touch()

    async def both():
        others = map(asyncio.to_thread, (begin_the_other, go_on))
        await asyncio.gather(work(), *others)

    asyncio.run(both())
    states = api.read_flow_run(first.id).state, *second
    assert output(api, *states) == (ROOM / "dont.txt").read_text()
    assert installed(worker) == ["shop_rates-2.0.dist-info"]


def test_what_a_new_environment_does_not_have(api, worker, deploy, capfd):
    """On a new worker its run is `Crashed`, and the log says:

    An environment that `uv venv` made has no pip. There the step fails, and
    only the output of the worker says why:
    """
    (worker / "pip").unlink()
    orders, invoices = declared(DONT)
    del orders["pull"][1]
    orders, invoices = run(api, *deploy(orders, invoices))
    assert orders.is_crashed() and invoices.is_crashed()
    missing = "ModuleNotFoundError: No module named 'shop_rates'"
    settles(lambda: missing in logs(api, orders), True)
    assert "No module named pip" in capfd.readouterr().err
    assert "No module named pip" not in logs(api, invoices)


def test_each_run_has_an_environment_of_its_own(
    api, worker, deploy, tmp_path, monkeypatch, capfd
):
    """After the pull steps, the worker starts the run with `uv run`. uv makes
    an environment in the clone, which goes when the run ends, and the
    environment of the worker stays as it is.
    """
    (tmp_path / "runs").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "runs"))
    states = run(api, *deploy(*declared(DO)))
    assert output(api, *states) == (ROOM / "do.txt").read_text()
    assert installed(worker) == [*(tmp_path / "runs").iterdir()] == []
    uv = capfd.readouterr()
    assert "Creating virtual environment at: .venv" in uv.out + uv.err
    assert "warning:" not in uv.out + uv.err


def test_a_run_shares_the_environment_if_one_thing_is_missing(
    api, worker, deploy, host, tmp_path, capfd
):
    """Without a warning, the run takes the environment of the worker if the
    clone has no `pyproject.toml`, if the `dependencies` in it do not name
    `prefect`, or if uv is not on the `PATH`. Prefect installs uv beside itself,
    but a worker that is started by its full path does not find it there.
    """
    with zipfile.ZipFile(next(tmp_path.glob("index/*/*/shop_rates-2*"))) as new:
        new.extractall(worker)
    for name in ("no-project", "no-prefect"):
        shutil.copytree(host / "orders.git", host / f"{name}.git")
    (host / "no-project.git/pyproject.toml").unlink()
    project = host / "no-prefect.git/pyproject.toml"
    project.write_text(project.read_text().replace("prefect>=3.9,<4", "click"))
    # uv is beside the Python of the worker, but not on the PATH.
    Path(sys.executable).with_name("uv").symlink_to(shutil.which("uv"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(shutil.which("git"))
    assert "uv" in {Requirement(line).name for line in requires("prefect")}

    without = {}
    for what in ("uv", "no-project", "no-prefect"):
        without[what], _ = declared(DO)
        without[what]["name"] = what
    variables = without["uv"]["work_pool"]["job_variables"]["env"]
    variables["PATH"] = str(tmp_path / "bin")
    for what in ("no-project", "no-prefect"):
        commit(host / f"{what}.git")
        (step,) = without[what]["pull"]
        step[f"{STEPS}.git_clone"]["repository"] = str(host / f"{what}.git")
    for state in run(api, *deploy(*without.values())):
        assert said(api, state) == "Completed, shop-rates 2.0, total 11900"
    assert "WARNING" not in capfd.readouterr().out


def test_a_lock_and_the_cache_make_up_for_the_network(
    api, worker, deploy, host, index, tmp_path, capfd
):
    """Without a `uv.lock`, each run asks the package index, and if that does
    not answer, it is `Crashed`. With the lock, uv takes from its cache what it
    has installed before, and needs no network.

    If uv cannot reach the package index, the output of the worker names the
    address, and the state says only:
    """
    elsewhere = os.environ | {
        "UV_PROJECT_ENVIRONMENT": str(tmp_path / "cached")
    }
    for flow in ("orders", "invoices"):
        tool("uv", "sync", cwd=host / f"{flow}.git", env=elsewhere)
    assert (host / "orders.git/uv.lock").exists()
    commit(host / "orders.git")
    index.shutdown()
    index.server_close()

    orders, invoices = run(api, *deploy(*declared(DO)))
    assert said(api, orders) == "Completed, shop-rates 1.0, total 119"
    assert invoices.is_crashed()
    assert invoices.message == (
        "Process exited with status code: 2. Process exited with an unexpected"
        " status code."
    )
    assert (
        f"fetch: http://127.0.0.1:{index.server_port}/"
        in capfd.readouterr().err
    )
    assert "Failed to fetch" not in logs(api, invoices)


def test_a_command_begins_before_the_clone(
    api, worker, deploy, tmp_path, capfd
):
    """With an older one, or for a single package, set the job variable
    `command`, with the Prefect that you have: `uv run --isolated --no-project
    --with prefect==3.9.1 --with shop-rates==1.0 python -m prefect.engine`. It
    begins before the pull steps, so it cannot read a file of the clone, and
    if it crashes, the worker clones into the folder where it runs itself.
    """
    orders, _ = declared(DONT)
    del orders["pull"][1]
    (orders,) = deploy(orders)
    command = (
        "uv run --isolated --no-project --with"
        f" prefect=={prefect.__version__} --with shop-rates==1.0 python -m"
        " prefect.engine"
    )
    (state,) = run(api, orders, command=command)
    assert said(api, state) == "Completed, shop-rates 1.0, total 119"
    assert installed(worker) == []
    assert not (tmp_path / "orders").exists()
    command = command.replace(
        "--with shop-rates==1.0", "--with-requirements requirements.txt"
    )
    (state,) = run(api, orders, command=command)
    assert state.is_crashed()
    assert "File not found: requirements.txt" in capfd.readouterr().err
    assert (tmp_path / "orders/orders.py").exists()
