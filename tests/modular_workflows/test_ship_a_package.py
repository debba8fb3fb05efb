# The project: dont.toml or do.toml, and prices.py, nightly.py, test_prices.py.
import subprocess
import sys
from functools import partial
from pathlib import Path
from shutil import copy, copytree, rmtree

import pytest
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
    deploy(api, tmp_path, "book_shop.nightly.net_prices", environment)
    rmtree(tmp_path / "src")

    assert run_in_worker(api, tmp_path, environment).state_name == "Completed"


def test_two_modules_of_one_name_are_mixed_up_in_one_process(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "path", [*sys.path])
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
