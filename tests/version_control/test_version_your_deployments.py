# Beside both programs stand git_and_worker.py and prefect.yaml.
from contextlib import chdir
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.deployments.steps.core import StepExecutionError
from prefect.flow_engine import load_flow_and_flow_run
from prefect.testing.cli import invoke_and_assert
from prefect.utilities.hashing import file_hash

from tests.book import ROOT

FILE = ROOT / "snippets/version_control/version_your_deployments/prefect.yaml"
QUERIES = ("SELECT sum(price) FROM orders", "SELECT sum(net) FROM orders")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    """Prefect reads the commit of a CI job from its environment."""
    for name in ("SHA", "REF_NAME", "REPOSITORY"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)


@pytest.fixture
def clone(do):
    """A clone with one commit, in the current folder."""
    with do.shared_repository():
        commit = do.push(QUERIES[0])
        Path("prefect.yaml").write_text(FILE.read_text())
        yield commit


def edit(old, new):
    file = Path("prefect.yaml")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def deploy_all(*options):
    return invoke_and_assert(["deploy", "--all", *options]).output


def deployed(api):
    return api.read_deployment_by_name("revenue/versioned")


def test_an_inferred_version_can_name_a_commit_that_did_not_run(dont, api):
    """Prefect guesses the version of a deployment from the folder in which you
    deploy, so it can name a commit that no run ran, or none at all.

    In a git clone with a remote named `origin`, it takes the first 8 characters
    of the commit that is checked out.

    It does not ask which commit you deploy.
    """
    with dont.shared_repository() as url:
        first, second = (dont.push(query) for query in QUERIES)
        version, query = dont.run(dont.deploy(url, first))
        assert version == second[:8]
        assert (query, dont.query_of(version)) == QUERIES


def test_an_inferred_version_does_not_see_changes(clone, api):
    """Changes that are not committed leave the version as it is."""
    edit('version: "{{ commit.stdout }}"', "")
    Path("revenue.sql").write_text("SELECT 0 -- not committed")
    deploy_all()
    assert deployed(api).version == clone[:8]


def test_in_a_ci_job_its_variables_count(clone, api, monkeypatch):
    """In a CI job, such as one of GitHub Actions, it takes them from the
    variables of the job.
    """
    for name, value in (
        ("GITHUB_SHA", "0123456789abcdef"),
        ("GITHUB_REF_NAME", "main"),
        ("GITHUB_REPOSITORY", "team/revenue"),
    ):
        monkeypatch.setenv(name, value)
    edit('version: "{{ commit.stdout }}"', "")
    deploy_all()
    assert deployed(api).version == "01234567"


def test_without_a_clone_two_commits_have_one_version(dont, api, tmp_path):
    """Prefect guesses the version of a deployment from the folder in which you
    deploy, so it can name a commit that no run ran, or none at all.

    Everywhere else, for example in an image without the folder `.git`, it takes
    a hash of the file that holds the flow. A query, a module or a lock beside
    it can change, and the version stays.
    """
    with dont.shared_repository() as url:
        commits = [dont.push(query) for query in QUERIES]
        with chdir(tmp_path):
            versions = [
                api.read_deployment(dont.deploy(url, commit)).version
                for commit in commits
            ]
        assert versions == 2 * [file_hash("revenue.py")]
        with pytest.raises(CalledProcessError) as failed:
            dont.query_of(versions[0])
    assert "fatal: invalid object name" in failed.value.stderr


def test_a_run_leads_to_the_code_of_its_commit(do, api):
    """Now the version of each run leads to the code that it ran, and the runs
    are the history.

    The server copies the version to each new run, as `deployment_version`.
    The deployment itself keeps only the last one. On a self-hosted server
    `version_info` is always `None`.
    """
    with do.shared_repository() as url:
        first, second = (do.push(query) for query in QUERIES)
        newer = do.run(do.deploy(url, second))
        older = do.run(do.deploy(url, first))
        assert (newer, older) == ((second, QUERIES[1]), (first, QUERIES[0]))
        assert do.query_of(second) == QUERIES[1]

        deployment = deployed(api)
        pool = api.read_work_pool(deployment.work_pool_name)
        command = ["deployment", "inspect", "revenue/versioned"]
        shown = invoke_and_assert(command).output
    assert (pool.name, pool.type) == ("versioned-pool", "process")
    assert deployment.version == first
    assert (deployment.version_id, deployment.version_info) == (None, None)
    assert "'version_info': None" in shown
    assert second not in shown


def test_the_file_puts_the_commit_on_deployment_and_run(clone, do, api):
    """In `prefect.yaml` a build step asks git, and the answer fills three
    places, so that the version and the code cannot differ:

    The API has no filter for `deployment_version`, but it has one for tags,
    and a run inherits the tags of its deployment.
    """
    Path("revenue.sql").write_text("SELECT 0 -- not committed")
    deploy_all()

    deployment = deployed(api)
    run = run_deployment(deployment.id, timeout=0)
    found = api.read_flow_runs(
        flow_run_filter=FlowRunFilter(tags={"all_": [f"commit:{clone}"]})
    )
    assert (deployment.version, deployment.tags) == (clone, [f"commit:{clone}"])
    assert deployment.pull_steps == [
        {
            "prefect.deployments.steps.git_clone": {
                "repository": do.git("remote", "get-url", "origin").strip(),
                "commit_sha": clone,
            }
        }
    ]
    assert deployment.work_pool_name == "versioned-pool"
    assert do.run(deployment.id) == (clone, QUERIES[0])
    assert [(r.id, r.deployment_version) for r in found] == [(run.id, clone)]
    assert "deployment_version" not in FlowRunFilter.model_fields


def test_a_token_in_a_pull_step_stays_a_reference(clone, api, caplog):
    """If the repository is private, add
    `access_token: "{{ prefect.blocks.secret.git-token }}"` to the pull step:
    it is stored as it stands there, and a run reads the block.
    """
    token = "{{ prefect.blocks.secret.git-token }}"
    edit(
        "      commit_sha:", f'      access_token: "{token}"\n      commit_sha:'
    )
    deploy_all()

    (step,) = deployed(api).pull_steps
    assert step["prefect.deployments.steps.git_clone"]["access_token"] == token
    run = run_deployment(deployed(api).id, timeout=0)
    with pytest.raises(StepExecutionError):
        load_flow_and_flow_run(run.id)
    error = "Block not found: 'git-token' of type 'secret'."
    assert [m for m in caplog.messages if m.startswith(error)]


def test_the_option_is_ignored_for_more_than_one_deployment(clone, api):
    """Do not use the option `--version` for a whole file: with more than one
    deployment it is ignored.
    """
    deployment = FILE.read_text().split("deployments:\n")[1]
    other = deployment.replace("name: versioned\n", "name: other\n")
    edit(deployment, deployment + other)

    said = deploy_all("--version=2.0")
    api.delete_deployment(api.read_deployment_by_name("revenue/other").id)
    assert (
        "You have passed options to the deploy command, but you are creating or"
        " updating multiple deployments." in " ".join(said.split())
    )
    assert deployed(api).version == clone
