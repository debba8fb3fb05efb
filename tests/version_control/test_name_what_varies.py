from datetime import date
from logging import ERROR

import pytest
from prefect import flow, tags, task
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.deployments import run_deployment
from prefect.flow_engine import run_flow
from prefect.runner import Runner

from tests.observe import settles
from tests.programs import python

DAY = date(2026, 3, 2)
MISSPELLED = """
from prefect import flow

@flow(flow_run_name="load-{dya}")
def load_sales(day: str): ...
"""


def run_id(state):
    return state.state_details.flow_run_id


def is_generated(name):
    """Two words, as in happy-otter."""
    return [word.isalpha() for word in name.split("-")] == [True, True]


def test_a_generated_name_does_not_lead_to_the_run_of_a_day(dont, api):
    """Prefect names a run with two random words and cannot search by
    parameters, so nobody finds the run that loaded a certain day.

    Without `flow_run_name`, Prefect makes up a name of two words. The day is
    among the parameters of the run, but the API has no filter for parameters.
    """
    state = dont.load_sales(DAY, return_state=True)

    run = api.read_flow_run(run_id(state))
    assert is_generated(run.name)
    assert run.parameters == {"day": "2026-03-02"}
    assert dont.search("2026-03-02", [run.id]) == ""
    assert "parameters" not in FlowRunFilter.model_fields


@pytest.mark.parametrize("day", [DAY, "2026-03-02"], ids=repr)
def test_a_name_with_the_day_leads_to_the_run(do, caplog, day):
    """Prefect fills the template after it has validated the parameters, so the
    text `"2026-03-02"` and the date give the same name.

    The server stores the name and the log repeats it, so never put a secret in
    it. A name need not be unique: two attempts at one day may share it.
    """
    states = [do.load_sales(day, return_state=True) for _ in range(2)]

    found = do.search("2026-03-02", [run_id(state) for state in states])
    assert found == ", ".join(2 * ["load-sales-2026-03-02 is Failed"])
    assert "load-sales-2026-03-02" in {
        getattr(record, "flow_run_name", None) for record in caplog.records
    }


def test_a_misspelled_placeholder_leaves_a_called_run_pending(do, api, caplog):
    """A misspelled placeholder is a `KeyError` when the flow starts. If you
    called the flow, its run stays `Pending`.
    """
    misspelled = do.load_sales.with_options(flow_run_name="load-{dya}")

    with tags("misspelled"), pytest.raises(KeyError, match="dya"):
        misspelled(DAY)
    assert "Finished in state Pending()" in caplog.messages
    named = FlowRunFilter(tags={"all_": ["misspelled"]})
    run = api.read_flow_runs(flow_run_filter=named, limit=1)[0]
    assert (run.state_name, is_generated(run.name)) == ("Pending", True)


def test_a_misspelled_placeholder_crashes_the_run_of_a_worker(api, tmp_path):
    """If a worker started it, the run is `Crashed`."""
    (tmp_path / "sales.py").write_text(MISSPELLED)
    pool = WorkPoolCreate(name="name-what-varies", type="process")
    api.create_work_pool(pool, overwrite=True)
    sales = flow.from_source(str(tmp_path), "sales.py:load_sales")
    deployment = sales.to_deployment("misspelled").apply(
        work_pool_name=pool.name
    )
    day = {"day": "2026-03-02"}
    run = run_deployment(deployment, parameters=day, timeout=0)
    worker = ("worker", "start", "--run-once", "--pool", pool.name)
    python("-m", "prefect", *worker, cwd=tmp_path)

    assert api.read_flow_run(run.id).state_name == "Crashed"
    logs = LogFilter(flow_run_id={"any_": [run.id]})
    settles(
        lambda: [
            (log.message.splitlines()[0], "KeyError: 'dya'" in log.message)
            for log in api.read_logs(logs)
            if log.level == ERROR
        ],
        [("Engine execution exited with unexpected exception", True)],
    )
    api.delete_deployment(deployment)
    api.delete_work_pool(pool.name)


def test_a_run_has_its_name_only_from_its_start(do, api):
    """The name is given when the run starts. Until then a run of a deployment
    has a generated name, or the `flow_run_name` that you gave to
    `run_deployment`. The template then replaces it.
    """
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
    api.delete_deployment(deployment)


def test_a_run_with_refused_parameters_keeps_its_generated_name(do, api):
    """A run whose parameters are refused keeps the generated one."""
    state = do.load_sales("2026-13-02", return_state=True)

    assert is_generated(api.read_flow_run(run_id(state)).name)


def test_a_tag_finds_the_runs_and_the_mapped_tasks_of_a_backfill(api):
    """`task` has `task_run_name`, which tells the task runs of one `.map`
    apart.

    `with tags("backfill-march"):` puts it on the run of each flow that you call
    in the block, and on their task runs, and you can filter by it.
    """

    @task(task_run_name="load-{store}")
    def load(store):
        return store

    @flow
    def load_stores():
        load.map(["Lyon", "Porto"]).wait()

    with tags("backfill-march"):
        state = load_stores(return_state=True)

    wanted = FlowRunFilter(
        id={"any_": [run_id(state)]}, tags={"all_": ["backfill-march"]}
    )
    settles(
        lambda: {
            (run.name, *run.tags)
            for run in api.read_task_runs(
                flow_run_filter=wanted, sort="ID_DESC", limit=9
            )
        },
        {("load-Lyon", "backfill-march"), ("load-Porto", "backfill-march")},
    )


def test_run_deployment_takes_its_tags_as_an_argument(do, api):
    """It does not reach the runs that you start with `run_deployment`: pass
    them `tags=["backfill-march"]`.
    """
    deployment = Runner().add_flow(do.load_sales, name="name-what-varies")
    day = {"day": "2026-03-02"}
    with tags("backfill-march"):
        run, tagged = (
            run_deployment(deployment, parameters=day, timeout=0, **given)
            for given in ({}, {"tags": ["backfill-march"]})
        )

    assert (run.tags, tagged.tags) == ([], ["backfill-march"])
    api.delete_deployment(deployment)
