# Beside both programs stand git_and_worker.py and prefect.yaml.
from pathlib import Path

import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.testing.cli import invoke_and_assert
from prefect.utilities.hashing import file_hash

from tests.book import ROOT

FILE = ROOT / "snippets/version_control/version_your_deployments/prefect.yaml"
QUERIES = ("SELECT sum(price) FROM orders", "SELECT sum(net) FROM orders")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    """Prefect reads the commit of a CI job from its environment."""
    monkeypatch.delenv("GITHUB_SHA", raising=False)


@pytest.fixture
def clone(do):
    """A clone with one commit, in the current folder."""
    with do.shared_repository() as url:
        do.git("remote", "add", "origin", url)
        commit = do.push(QUERIES[0])
        Path("prefect.yaml").write_text(FILE.read_text())
        yield commit


def edit(old, new):
    file = Path("prefect.yaml")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def deploy_all(*options):
    return invoke_and_assert(["deploy", "--all", *options]).output


def test_two_commits_have_one_version(dont):
    with dont.shared_repository() as url:
        first, second = (
            dont.run(dont.deploy(url, dont.push(query))) for query in QUERIES
        )
        version = file_hash("revenue.py")

    assert first.deployment_version == second.deployment_version == version


def test_a_run_leads_to_the_code_of_its_commit(do):
    with do.shared_repository() as url:
        commits = [do.push(query) for query in QUERIES]
        runs = [do.run(do.deploy(url, commit)) for commit in commits]

        assert [run.deployment_version for run in runs] == commits
        assert tuple(do.query_of(run) for run in runs) == QUERIES


def test_the_server_keeps_only_the_last_version(do, api):
    with do.shared_repository() as url:
        for query in QUERIES:
            commit = do.push(query)
            deployment = api.read_deployment(do.deploy(url, commit))

    shown = invoke_and_assert(
        ["deployment", "inspect", "revenue/versioned"]
    ).output
    assert "'version_info': None" in shown
    assert deployment.version == commit
    assert (deployment.version_id, deployment.version_info) == (None, None)


def test_an_inferred_version_can_name_a_commit_that_did_not_run(clone, api):
    edit('version: "{{ commit.stdout }}"', "")
    Path("revenue.sql").write_text("SELECT 0 -- not committed")
    deploy_all()

    deployment = api.read_deployment_by_name("revenue/versioned")
    assert deployment.version == clone[:8]


def test_the_file_puts_the_commit_on_deployment_and_run(clone, api):
    deploy_all()

    deployment = api.read_deployment_by_name("revenue/versioned")
    (step,) = deployment.pull_steps
    (pulled,) = step.values()
    run = run_deployment(deployment.id, timeout=0)
    found = api.read_flow_runs(
        flow_run_filter=FlowRunFilter(tags={"all_": [f"commit:{clone}"]})
    )
    assert (deployment.version, pulled["commit_sha"]) == (clone, clone)
    assert [(r.id, r.deployment_version) for r in found] == [(run.id, clone)]
    assert "deployment_version" not in FlowRunFilter.model_fields


def test_the_option_is_ignored_for_more_than_one_deployment(clone, api):
    deployment = FILE.read_text().split("deployments:\n")[1]
    other = deployment.replace("name: versioned\n", "name: other\n")
    edit(deployment, deployment + other)

    said = deploy_all("--version=2.0")
    assert "These options will be ignored." in said
    assert api.read_deployment_by_name("revenue/versioned").version == clone


def test_a_tag_that_is_only_a_placeholder_is_dropped(clone, api):
    edit("commit:{{", "{{")
    deploy_all()
    assert api.read_deployment_by_name("revenue/versioned").tags == []
