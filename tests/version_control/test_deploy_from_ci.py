# The laptop runs dont.sh; CI runs the steps of do.yaml.
import os
import re
import subprocess
from contextlib import chdir, suppress
from pathlib import Path

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import LogFilter
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import load_flow_and_flow_run, run_flow

from tests.book import ROOT
from tests.observe import settles
from tests.programs import python, tool

ROOM = ROOT / "snippets/version_control"
FILE = ROOM / "deploy_from_ci/do.yaml"
WORKFLOW = yaml.safe_load(FILE.read_text())
JOBS = WORKFLOW["jobs"]
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
    yield shared
    with suppress(ObjectNotFound):
        deployment = api.read_deployment_by_name("revenue/from-ci")
        api.delete_deployment(deployment.id)
    api.delete_work_pool(pool.name)


def run_job(name, shared, folder):
    """Run a job in a fresh clone; return the step that fails, if any."""
    git("clone", shared, str(folder / name))
    runner = {k: v for k, v in os.environ.items() if "PREFECT_API" not in k}
    # This environment stays as it is, and pytest starts faster.
    runner |= {"PIP_DRY_RUN": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    given = {
        "${{ vars.PREFECT_API_URL }}": os.environ["PREFECT_API_URL"],
        "${{ secrets.PREFECT_API_KEY }}": "",
    }
    for step in JOBS[name]["steps"]:
        env = {name: given[text] for name, text in step.get("env", {}).items()}
        command = ["bash", "-e", "-c", step.get("run", "")]
        if tool(*command, cwd=folder / name, env=runner | env).returncode:
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
    """A laptop deploys what lies on its disk, tested and pushed or not; CI
    deploys a commit that everybody has and that passed the tests.

    Since somebody deployed, each run of the flow is `Crashed` before its first
    line. The log of the run ends after the pull step `git_clone`, with this
    warning:

    The output of the worker says more:

    Both commands end with success. `prefect deploy` does not ask whether the
    commit was pushed or reviewed, or whether it works. So the server names a
    commit that only Ada's laptop has, and no worker can clone it.

    Once she pushes, the runs complete with a wrong value: the amount is a text
    now, and the test that would have failed did not run.
    """
    Path("revenue.py").write_text(FLOW.format("'1300 USD'"))
    script = ROOM / "deploy_from_ci/dont.sh"
    subprocess.run(["bash", "-e", script], check=True)

    commit = git("rev-parse", "HEAD").strip()
    assert deployed_version(api) == commit
    assert commit not in git("ls-remote", laptop)
    lost = run_deployment("revenue/from-ci", timeout=0)
    worker = ("worker", "start", "--run-once", "--pool", "from-ci-pool")
    said = python("-m", "prefect", *worker, cwd=tmp_path).stderr
    state = api.read_flow_run(lost.id).state
    assert (state.name, state.message) == (
        "Crashed",
        "Process exited with status code: 1. Process exited with a general"
        " error.",
    )
    step = "Executing deployment step: git_clone"
    warning = "Runner failed to retrieve flow to execute on_crashed hooks for"
    settles(
        lambda: [
            log.message[: len(start)]
            for log in api.read_logs(LogFilter(flow_run_id={"any_": [lost.id]}))
            for start in (step, warning)
            if log.message.startswith(start)
        ],
        [step, warning],
    )
    error = (
        "Encountered error while running prefect.deployments.steps.git_clone"
    )
    assert error in said

    git("push", "origin", "HEAD:main")
    assert run(tmp_path / "run") == "1300 USD"


def test_ci_deploys_the_pushed_commit(laptop, api, tmp_path):
    """A laptop deploys what lies on its disk, tested and pushed or not; CI
    deploys a commit that everybody has and that passed the tests.

    What is not in git is not tested and not deployed.
    """
    Path("prefect.yaml").write_text("# not committed")
    assert run_job("test", laptop, tmp_path) is None
    assert run_job("deploy", laptop, tmp_path) is None

    assert deployed_version(api) == git("rev-parse", "HEAD").strip()
    assert run(tmp_path / "run") == 1200


def test_ci_does_not_deploy_when_a_test_or_the_lock_fails(laptop, tmp_path):
    """The job `deploy` needs the job `test`, and the job `test` fails if the
    lock cannot be installed or a test fails.

    Once she pushes, the runs complete with a wrong value: the amount is a text
    now, and the test that would have failed did not run.
    """
    Path("revenue.py").write_text(FLOW.format("'1300 USD'"))
    git("commit", "--all", "--message", "Report the revenue in dollars")
    git("push", "origin", "HEAD:main")
    assert JOBS["deploy"]["needs"] == "test"
    assert run_job("test", laptop, tmp_path) == "pytest"

    Path("requirements.txt").write_text("packaging==24.0")
    git("commit", "--all", "--message", "Forget the hashes")
    git("push", "origin", "HEAD:main")
    (tmp_path / "again").mkdir()
    install = JOBS["test"]["steps"][2]["run"]
    assert run_job("test", laptop, tmp_path / "again") == install
    assert install.split()[2:] == [
        *("--require-hashes", "--only-binary", '":all:"'),
        *("-r", "requirements.txt"),
    ]


def test_only_the_last_step_of_the_deployment_sees_the_key():
    """Only the last step of the job `deploy` gets it."""
    *setup, test = JOBS["test"]["steps"]
    *again, deploy = JOBS["deploy"]["steps"]
    assert setup == again
    assert test == {"run": "pytest"}
    assert deploy == {
        "run": "prefect --no-prompt deploy --all",
        "env": {
            "PREFECT_API_URL": "${{ vars.PREFECT_API_URL }}",
            "PREFECT_API_KEY": "${{ secrets.PREFECT_API_KEY }}",
        },
    }


def test_each_push_to_main_is_deployed_and_nothing_else():
    """Let a workflow deploy each push to `main`, and nothing else."""
    without_jobs = {k: v for k, v in WORKFLOW.items() if k != "jobs"}
    assert without_jobs == {
        "name": "Deploy",
        True: {"push": {"branches": ["main"]}},
        "permissions": {},
        "concurrency": {"group": "deploy", "cancel-in-progress": False},
    }
    same = {
        "runs-on": "ubuntu-24.04",
        "timeout-minutes": 15,
        "permissions": {"contents": "read"},
    }
    needs = {"needs": "test", "environment": "production"}
    for name, more in (("test", {}), ("deploy", needs)):
        job = dict(JOBS[name])
        checkout, python, install, _ = job.pop("steps")
        assert job == {"name": name.title()} | same | more
        assert checkout["with"] == {"persist-credentials": False}
        assert python["with"] == {"python-version": "3.11"}
        assert install.keys() == {"run"}


def lint(workflow):
    check = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    return [
        tool(*command, workflow).returncode
        for command in (check, ["zizmor", "--offline"])
    ]


def test_the_linters_have_nothing_to_say(tmp_path):
    """Check the file like code: `check-jsonschema --builtin-schema
    vendor.github-workflows` knows its form, and `zizmor --offline` finds
    risks, such as an action without a hash. Neither notices that `needs` is
    missing.
    """
    text, other = FILE.read_text(), tmp_path / "other.yaml"
    assert lint(FILE) == [0, 0]

    other.write_text(text.replace("needs:", "need:"))
    assert lint(other) == [1, 0]
    other.write_text(re.sub("@[0-9a-f]{40}", "@v6", text))
    assert lint(other) == [0, 14]
    other.write_text(text.replace("    needs: test\n", ""))
    assert lint(other) == [0, 0]
