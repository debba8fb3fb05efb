# The project: dont.toml or do.toml, and prices.py, nightly.py, test_prices.py.
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from shutil import copy, copytree, rmtree

import prefect
import pytest
from packaging.version import Version
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import LogSort
from prefect.deployments import run_deployment
from prefect.flows import load_flow_from_entrypoint

from tests.book import ROOT
from tests.observe import settles
from tests.programs import python

ROOM = ROOT / "snippets/modular_workflows/ship_a_package"
POOL = "ship-a-package"


def said(ended):
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def project(folder, toml):
    for part in ("src", "tests"):
        copytree(ROOM / part, folder / part)
    (folder / "src/book_shop/__init__.py").touch()
    copy(ROOM / toml, folder / "pyproject.toml")


def deploy(api, folder, entrypoint, python=python):
    api.create_work_pool(WorkPoolCreate(name=POOL, type="process"), True)
    options = ["--name", POOL, "--pool", POOL]
    prefect = ["-m", "prefect", "--no-prompt", "deploy"]
    assert "successfully created" in said(
        python(*prefect, entrypoint, *options, cwd=folder)
    )


def run_in_worker(api, folder, python=python):
    asked = run_deployment(f"net-prices/{POOL}", timeout=0)
    worker = ["-m", "prefect", "worker", "start", "--run-once"]
    said(python(*worker, "--pool", POOL, cwd=folder))
    return api.read_flow_run(asked.id)


def test_tests_and_deploy_succeed_and_the_worker_finds_no_module(api, tmp_path):
    """`pythonpath` holds for pytest and for nothing else, so the worker's
    process does not find `book_shop`.

    `prefect deploy src/book_shop/nightly.py:net_prices` succeeds all the same,
    because it needs only the name of the flow and its parameters.
    """
    project(tmp_path, "dont.toml")
    tests = ["-m", "pytest", "tests/test_prices.py"]
    assert "1 passed" in said(python(*tests, cwd=tmp_path))
    deploy(api, tmp_path, "src/book_shop/nightly.py:net_prices")
    ended = run_in_worker(api, tmp_path)

    assert ended.state_name == "Crashed"
    this_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[ended.id]))

    def found():
        logs = api.read_logs(this_run, sort=LogSort.TIMESTAMP_ASC, offset=0)
        text = "\n".join(log.message for log in logs)
        return "ModuleNotFoundError: No module named 'book_shop'" in text

    settles(found, True)


@pytest.fixture
def environment(tmp_path):
    """Python with Prefect, from this environment, and with the package."""
    project(tmp_path, "do.toml")
    venv = ["uv", "venv", "--offline", "-p", sys.executable, "env"]
    said(run(*venv, cwd=tmp_path))
    its_python = str(tmp_path / "env/bin/python")
    install = ["uv", "pip", "install", "--offline", "--no-deps"]
    said(run(*install, "--python", its_python, ".", cwd=tmp_path))
    (packages,) = tmp_path.glob("env/lib/*/site-packages")
    prefect = Path(pytest.__file__).parents[1]
    (packages / "prefect.pth").write_text(str(prefect))
    return partial(run, its_python)


def test_the_worker_runs_the_installed_package_without_the_sources(
    api, tmp_path, environment
):
    """Imports that work because of the folder you stand in fail in a worker; an
    installed package is found from everywhere.

    Now every process finds `book_shop`, and the tests need no setting.

    Then a run imports the installed package and needs no `src`. So what runs is
    the version that is installed there, and to change it you install another
    one.
    """
    deploy(api, tmp_path, "book_shop.nightly.net_prices", environment)
    rmtree(tmp_path / "src")
    tests = ["-m", "pytest", "tests/test_prices.py"]
    assert "1 passed" in said(environment(*tests, cwd=tmp_path))

    assert run_in_worker(api, tmp_path, environment).state_name == "Completed"


def test_a_path_takes_the_flow_from_the_file_and_the_import_from_the_package(
    tmp_path, environment
):
    """If a deployment clones its code from git, an entrypoint that is a path
    takes the flow from the clone, but `import book_shop` in it still takes the
    installed package.
    """
    source = tmp_path / "src/book_shop"
    (source / "prices.py").write_text("def net(gross): return 'pushed'")
    (source / "nightly.py").open("a").write("PUSHED = True\n")
    load = (
        "from prefect.flows import load_flow_from_entrypoint as load;"
        "flow = load('src/book_shop/nightly.py:net_prices').fn.__globals__;"
        "print(flow['PUSHED'], flow['net'](8.0), flow['read_prices'].fn())"
    )
    assert (
        said(environment("-c", load, cwd=tmp_path))
        == "True 7.48 [10.7, 21.4]\n"
    )


def test_the_project_says_what_a_package_needs():
    """A build backend is all that it takes; it finds the code in
    `src/book_shop`.
    """
    dont, do = (
        tomllib.loads((ROOM / toml).read_text())
        for toml in ("dont.toml", "do.toml")
    )
    project = {
        "name": "book-shop",
        "version": "1.0.0",
        "requires-python": ">=3.11",
        "dependencies": ["prefect>=3.9,<4"],
    }
    backend = {"requires": ["uv_build>=0.13,<1"], "build-backend": "uv_build"}
    setting = {"pytest": {"ini_options": {"pythonpath": ["src"]}}}
    assert dont == {"project": project, "tool": setting}
    assert do == {"project": project, "build-system": backend}
    assert Version("3.9") <= Version(prefect.__version__) < Version("4")


def test_prefect_finds_the_neighbours_of_the_file(tmp_path, monkeypatch):
    """Before it runs `src/book_shop/nightly.py` to get the flow, it puts the
    folder of that file and the working directory in front of Python's search
    path. `import prices` is found in this way, but `import book_shop` is not.

    Neither do a few files in one folder, as long as you have one such folder:
    Prefect finds the neighbours of the flow's file.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "prices", raising=False)
    project(tmp_path, "dont.toml")
    nightly = tmp_path / "src/book_shop/nightly.py"
    nightly.write_text(
        "import sys\nPATH = [*sys.path]\n"
        "from importlib.util import find_spec\n"
        "from prefect import flow\nfrom prices import net\n"
        "@flow\ndef net_price():\n    return net(10.7), find_spec('book_shop')"
    )
    monkeypatch.chdir(tmp_path)

    found = load_flow_from_entrypoint("src/book_shop/nightly.py:net_price")

    assert found() == (10.0, None)
    in_front = found.fn.__globals__["PATH"][:2]
    assert {str(Path(path).resolve()) for path in in_front} == {
        str(nightly.parent),
        str(tmp_path),
    }
    monkeypatch.delitem(sys.modules, "prices")


def test_two_modules_of_one_name_are_mixed_up_in_one_process(
    tmp_path, monkeypatch
):
    """If two folders each have a `vat.py` and one process loads a flow from
    both, as a test of your entrypoints does, the second flow gets the tax rate
    of the first, without an error.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "vat", raising=False)
    flow = "from prefect import flow\nfrom vat import RATE\n"
    for country, rate in ("de", 0.07), ("fr", 0.055):
        folder = tmp_path / country
        folder.mkdir()
        (folder / "vat.py").write_text(f"RATE = {rate}")
        (folder / "nightly.py").write_text(
            f"{flow}@flow\ndef vat_rate():\n    return RATE"
        )

    rates = [
        load_flow_from_entrypoint(f"{tmp_path}/{country}/nightly.py:vat_rate")()
        for country in ("de", "fr")
    ]
    assert rates == [0.07, 0.07]
