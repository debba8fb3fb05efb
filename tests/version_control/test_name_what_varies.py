from datetime import date

import pytest
from prefect import flow, tags, task
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.flow_engine import run_flow
from prefect.runner import Runner

from tests.observe import settles

DAY = date(2026, 3, 2)


def run_id(state):
    return state.state_details.flow_run_id


def is_generated(name):
    """Two words, as in happy-otter."""
    return name.replace("-", "").isalpha()


def test_a_generated_name_does_not_lead_to_the_run_of_a_day(dont, api):
    state = dont.load_sales(DAY, return_state=True)

    run = api.read_flow_run(run_id(state))
    assert is_generated(run.name)
    assert run.parameters == {"day": "2026-03-02"}
    assert dont.search("2026-03-02", [run.id]) == ""
    assert "parameters" not in FlowRunFilter.model_fields


def test_a_name_with_the_day_leads_to_the_run(do):
    state = do.load_sales("2026-03-02", return_state=True)

    found = do.search("2026-03-02", [run_id(state)])
    assert found == "load-sales-2026-03-02 is Failed"


def test_a_misspelled_placeholder_leaves_the_run_pending(do, caplog):
    misspelled = do.load_sales.with_options(flow_run_name="load-{dya}")

    with pytest.raises(KeyError, match="dya"):
        misspelled(DAY)
    assert "Finished in state Pending()" in caplog.messages


def test_a_run_has_its_name_only_from_its_start(do, api):
    parameters = {"day": "2026-03-02"}
    deployment = Runner().add_flow(do.load_sales, name="name-what-varies")
    run = run_deployment(deployment, parameters=parameters, timeout=0)
    named = run_deployment(
        deployment, parameters=parameters, timeout=0, flow_run_name="repair"
    )

    assert is_generated(run.name)
    assert named.name == "repair"
    for started in (run, named):
        run_flow(do.load_sales, flow_run=started, return_type="state")
        name = api.read_flow_run(started.id).name
        assert name == "load-sales-2026-03-02"


def test_a_run_with_refused_parameters_keeps_its_generated_name(do, api):
    state = do.load_sales("2026-13-02", return_state=True)

    assert is_generated(api.read_flow_run(run_id(state)).name)


def test_a_tag_finds_the_runs_and_the_mapped_tasks_of_a_backfill(api):
    @task(task_run_name="load-{store}")
    def load(store):
        return store

    @flow
    def load_stores():
        load.map(["Lyon", "Porto"]).wait()

    with tags("backfill-lyon-porto"):
        state = load_stores(return_state=True)

    wanted = FlowRunFilter(
        id={"any_": [run_id(state)]}, tags={"all_": ["backfill-lyon-porto"]}
    )
    settles(
        lambda: {
            (run.name, *run.tags)
            for run in api.read_task_runs(
                flow_run_filter=wanted, sort="ID_DESC", limit=9
            )
        },
        {
            ("load-Lyon", "backfill-lyon-porto"),
            ("load-Porto", "backfill-lyon-porto"),
        },
    )
