# Repository, push and worker of both programs: git_and_worker.py.
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from prefect.client.schemas.filters import DeploymentFilter, LogFilter
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.deployments.steps import git_clone
from prefect.deployments.steps.core import StepExecutionError
from prefect.runner.storage import GitRepository

from tests.observe import settles


@pytest.fixture
def git(do):
    return import_module("git_and_worker").git


def last_two_runs(api, deployment):
    return api.read_flow_runs(
        deployment_filter=DeploymentFilter(id={"any_": [deployment]}),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=2,
        offset=0,
    )


def pull_messages(api, run):
    logs = api.read_logs(
        LogFilter(flow_run_id={"any_": [run.id]}),
        sort=LogSort.TIMESTAMP_ASC,
        limit=200,
        offset=0,
    )
    return [log.message for log in logs if "step" in log.message]


def test_a_push_changes_what_runs_but_not_the_deployment(dont, api):
    """A deployment that names a branch runs what the branch holds when the run
    starts, so each push changes it and no deployment shows that.

    The log of the flow run names no commit.

    The deployment holds no code. `GitRepository` becomes a pull step, which the
    process of each flow run carries out before it loads `revenue.py`: it clones
    the newest commit of `main`. So a push changes what the next run does,
    although nobody deployed.

    The deployment is the same in every field, and both runs have the same
    `deployment_version`, although they ran different code.
    """
    with dont.shared_repository() as url:
        deployment = dont.deploy(url, commit=dont.push("1200 EUR"))
        deployed = api.read_deployment(deployment)
        assert dont.run(deployment) == "1200 EUR"
        commit = dont.push("1300 USD")
        assert dont.run(deployment) == "1300 USD"

        assert api.read_deployment(deployment) == deployed
        assert commit not in deployed.model_dump_json()
        for run in last_two_runs(api, deployment):
            assert run.state_name == "Completed"
            assert run.deployment_version == deployed.version
            settles(
                lambda run=run: pull_messages(api, run),
                [
                    "Running 1 deployment pull step(s)",
                    "Executing deployment step: git_clone",
                    "Deployment step 'git_clone' completed successfully",
                    "All deployment steps completed successfully",
                ],
            )


def test_without_its_branch_a_run_cannot_get_its_code(dont, git, caplog):
    """A branch can also disappear. Once it is merged and deleted, each run
    of the deployment fails at `git_clone`.
    """
    with dont.shared_repository() as url:
        deployment = dont.deploy(url, commit=dont.push("1200 EUR"))
        git("-C", "shared.git", "update-ref", "-d", "refs/heads/main")
        with pytest.raises(StepExecutionError, match="git_clone"):
            dont.run(deployment)
        error = f"Failed to clone repository '{url}' with exit code 128."
    assert [m for m in caplog.messages if m.startswith(error)]


def test_a_deployed_commit_runs_the_same_code_after_the_push(do, api):
    """The push has no effect until somebody deploys again. To go back, deploy
    the old commit. In `prefect.yaml` the key of the `git_clone` step is
    `commit_sha` too.
    """
    with do.shared_repository() as url:
        old = do.push("1200 EUR")
        deployment = do.deploy(url, old)
        new = do.push("1300 USD")
        assert do.run(deployment) == "1200 EUR"
        deployed = api.read_deployment(deployment)
        assert deployed.work_pool_name == "revenue-workers"
        assert api.read_work_pool("revenue-workers").type == "process"

        assert do.deploy(url, new) == deployment
        assert do.run(deployment) == "1300 USD"
        assert do.deploy(url, old) == deployment
        assert do.run(deployment) == "1200 EUR"

    (step,) = deployed.pull_steps
    assert step == {
        "prefect.deployments.steps.git_clone": {
            "repository": url,
            "branch": None,
            "commit_sha": old,
        }
    }


def test_a_commit_must_be_named_by_its_full_hash(do):
    """Give the full hash, as `git rev-parse HEAD` prints it: in an empty
    folder, git cannot fetch a commit by a short one.
    """
    with do.shared_repository() as url:
        commit = do.push("1200 EUR")
        with pytest.raises(CalledProcessError, match="'git', 'fetch'"):
            do.deploy(url, commit[:7])


def code_of(url, **options):
    """Carry out the pull step of a source in the current folder."""
    (step,) = GitRepository(url, **options).to_pull_step().values()
    return Path(git_clone(**step)["directory"], "revenue.py").read_text()


def test_a_clone_that_is_kept_is_switched_to_the_commit(do, tmp_path):
    """If the folder still holds the clone of an earlier run, Prefect switches
    it to the commit.
    """
    with do.shared_repository() as url:
        old, new = do.push("1200 EUR"), do.push("1300 USD")
        with chdir(tmp_path):
            assert "1200 EUR" in code_of(url, commit_sha=old)
            assert "1300 USD" in code_of(url, commit_sha=new)
    assert [path.name for path in tmp_path.glob("shared*/")] == ["shared"]


def test_a_tag_of_git_can_be_moved(do, git, tmp_path):
    """A tag of git, which `branch="v1.0"` accepts, reads better than a hash.
    But a tag can be moved, and then the runs move with it.
    """
    with do.shared_repository() as url:
        codes = []
        for folder, amount in (("before", "1200 EUR"), ("after", "1300 USD")):
            do.push(amount)
            git("tag", "--force", "v1.0")
            git("push", "--force", "shared.git", "v1.0")
            (tmp_path / folder).mkdir()
            with chdir(tmp_path / folder):
                codes.append(code_of(url, branch="v1.0"))
    assert "1200 EUR" in codes[0]
    assert "1300 USD" in codes[1]


def test_a_commit_that_is_gone_cannot_run(do, git, caplog):
    """When a force-push drops it and the git server cleans up, the runs fail
    at `git_clone`.
    """
    with do.shared_repository() as url:
        commit = do.push("1200 EUR")
        deployment = do.deploy(url, commit)
        git("commit", "--amend", "--message", "Report another way")
        git("push", "--force", "shared.git", "HEAD:main")
        git("-C", "shared.git", "gc", "--prune=now")
        with pytest.raises(StepExecutionError, match="git_clone"):
            do.run(deployment)
    error = f"Command '['git', 'fetch', 'origin', '{commit}']' returned"
    assert [m for m in caplog.messages if m.startswith(error)]
