# Repository, push and worker of both programs: git_and_worker.py.
from contextlib import chdir
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.deployments.steps import git_clone
from prefect.runner.storage import GitRepository

from tests.observe import settles


def last_two_runs(api, deployment):
    return api.read_flow_runs(
        deployment_filter=DeploymentFilter(
            id=DeploymentFilterId(any_=[deployment])
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=2,
        offset=0,
    )


def pull_messages(api, run):
    logs = api.read_logs(
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id])),
        sort=LogSort.TIMESTAMP_ASC,
        limit=200,
        offset=0,
    )
    return [log.message for log in logs if "step" in log.message]


def test_a_push_changes_what_runs_but_not_the_deployment(dont, api):
    with dont.shared_repository() as url:
        deployment = dont.deploy(url, commit=dont.push("1200 EUR"))
        deployed = api.read_deployment(deployment)
        assert dont.run(deployment) == "1200 EUR"
        dont.push("1300 USD")
        assert dont.run(deployment) == "1300 USD"

    assert api.read_deployment(deployment) == deployed
    for run in last_two_runs(api, deployment):
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


def test_a_deployed_commit_runs_the_same_code_after_the_push(do, api):
    with do.shared_repository() as url:
        commit = do.push("1200 EUR")
        deployment = do.deploy(url, commit)
        do.push("1300 USD")
        assert do.run(deployment) == "1200 EUR"

    (step,) = api.read_deployment(deployment).pull_steps
    asked = step["prefect.deployments.steps.git_clone"]
    assert (asked["branch"], asked["commit_sha"]) == (None, commit)


def test_a_commit_must_be_named_by_its_full_hash(do):
    with do.shared_repository() as url:
        commit = do.push("1200 EUR")
        with pytest.raises(CalledProcessError, match="'git', 'fetch'"):
            do.deploy(url, commit[:7])


def clone(folder, *source, **options):
    """Carry out the pull step of a source in a folder."""
    (step,) = GitRepository(*source, **options).to_pull_step().values()
    with chdir(folder):
        return Path(folder, git_clone(**step)["directory"], "revenue.py")


def test_a_clone_that_is_kept_stays_on_the_old_commit(do, tmp_path):
    with do.shared_repository() as url:
        old, new = do.push("1200 EUR"), do.push("1300 USD")
        clone(tmp_path, url, commit_sha=old)
        code = clone(tmp_path, url, commit_sha=new)
        named = clone(tmp_path, url, commit_sha=new, name=f"revenue-{new}")

    assert "1200 EUR" in code.read_text()
    assert "1300 USD" in named.read_text()
