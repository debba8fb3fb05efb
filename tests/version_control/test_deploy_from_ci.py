# The laptop runs dont.sh; CI runs the steps of do.yaml.
import os
import re
import subprocess
from contextlib import chdir, suppress
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.deployments.steps.core import StepExecutionError
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import load_flow_and_flow_run, run_flow

from tests.book import ROOT

ROOM = ROOT / "snippets/version_control"
WORKFLOW = ROOM / "deploy_from_ci/do.yaml"
RUN_STEPS = [
    step
    for step in yaml.safe_load(WORKFLOW.read_text())["jobs"]["deploy"]["steps"]
    if "run" in step
]
FLOW = "from prefect import flow\n\n\n@flow\ndef revenue():\n    return {}\n"
TEST = (
    "from revenue import revenue\n\n\n"
    "def test_revenue():\n    assert revenue.fn() == 1200\n"
)


def git(*command):
    return subprocess.check_output(["git", *command], text=True)


@pytest.fixture
def laptop(api, tmp_path, monkeypatch):
    """Ada's clone of a repository that follows the other rules."""
    pool = WorkPoolCreate(name="from-ci-pool", type="process")
    api.create_work_pool(pool, overwrite=True)
    shared = f"file://{tmp_path}/shared.git"
    git("init", "--bare", "--initial-branch=main", str(tmp_path / "shared.git"))
    git("clone", shared, str(tmp_path / "laptop"))
    monkeypatch.chdir(tmp_path / "laptop")
    git("config", "user.name", "Ada")
    git("config", "user.email", "ada@example.org")
    Path("revenue.py").write_text(FLOW.format(1200))
    Path("test_revenue.py").write_text(TEST)
    declared = (ROOM / "version_your_deployments/prefect.yaml").read_text()
    Path("prefect.yaml").write_text(declared.replace("versioned", "from-ci"))
    lock = re.search(
        r"^packaging==.*?\n(?=\w)",
        (ROOT / "requirements.txt").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    Path("requirements.txt").write_text(lock[0])
    git("add", ".")
    git("commit", "--message", "Report the revenue")
    git("push", "origin", "HEAD:main")
    return shared


def ci(shared, folder):
    """Run the steps in a fresh clone; return the one that fails, if any."""
    git("clone", shared, str(folder))
    runner = {k: v for k, v in os.environ.items() if "PREFECT_API" not in k}
    # This environment stays as it is, and pytest starts faster.
    runner |= {"PIP_DRY_RUN": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    given = {
        "${{ vars.PREFECT_API_URL }}": os.environ["PREFECT_API_URL"],
        "${{ secrets.PREFECT_API_KEY }}": "",
    }
    for step in RUN_STEPS:
        env = {name: given[text] for name, text in step.get("env", {}).items()}
        command = ["bash", "-e", "-c", step["run"]]
        if subprocess.run(command, cwd=folder, env=runner | env).returncode:
            return step["run"]


def deployed_version(api):
    return api.read_deployment_by_name("revenue/from-ci").version


def run(folder):
    """Do what a worker does: in an empty folder, get the code and run it."""
    flow_run = run_deployment("revenue/from-ci", timeout=0)
    folder.mkdir()
    with chdir(folder):
        flow_run, revenue = load_flow_and_flow_run(flow_run.id)
        return run_flow(revenue, flow_run=flow_run)


def test_a_laptop_deploys_what_nobody_else_has(laptop, api, tmp_path):
    Path("revenue.py").write_text(FLOW.format("'1300 USD'"))
    script = ROOM / "deploy_from_ci/dont.sh"
    subprocess.run(["bash", "-e", script], check=True)

    local = git("rev-parse", "HEAD").strip()
    assert deployed_version(api) == local
    assert local not in git("ls-remote", laptop)
    error = (
        "Encountered error while running prefect.deployments.steps.git_clone"
    )
    with pytest.raises(StepExecutionError, match=re.escape(error)):
        run(tmp_path / "worker")


def test_ci_deploys_the_pushed_commit(laptop, api, tmp_path):
    Path("prefect.yaml").write_text("# not committed")
    assert ci(laptop, tmp_path / "ci") is None

    assert deployed_version(api) == git("rev-parse", "HEAD").strip()
    assert run(tmp_path / "worker") == 1200


def test_ci_does_not_deploy_when_a_test_fails(laptop, api, tmp_path):
    Path("revenue.py").write_text(FLOW.format("'1300 USD'"))
    git("commit", "--all", "--message", "Report the revenue in dollars")
    git("push", "origin", "HEAD:main")

    assert ci(laptop, tmp_path / "bad") == "pytest"
    with suppress(ObjectNotFound):
        assert deployed_version(api) != git("rev-parse", "HEAD").strip()


def test_only_the_last_step_sees_the_key():
    text = WORKFLOW.read_text()
    assert text.count("secrets.") == 1
    assert ["env" in step for step in RUN_STEPS] == [False, False, True]


def lint(workflow):
    check = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    return [
        subprocess.run([*command, workflow]).returncode
        for command in (check, ["zizmor", "--offline"])
    ]


def test_the_linters_have_nothing_to_say(tmp_path):
    assert lint(WORKFLOW) == [0, 0]

    tag = re.sub("@[0-9a-f]{40}", "@v4", WORKFLOW.read_text())
    (tmp_path / "tag.yaml").write_text(tag)
    assert lint(tmp_path / "tag.yaml") == [0, 14]
