import asyncio
from contextlib import contextmanager
from inspect import signature
from pathlib import Path

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.workers.process import ProcessWorker, ProcessWorkerResult

ROOM = Path("snippets/scaling/route_work_with_pools").resolve()


@pytest.fixture
def taken_by(monkeypatch):
    """Let a real worker ask once, and note the runs instead of running."""

    def ask(pool: str, *queues: str) -> list[str]:
        taken = []

        async def note(self, flow_run, configuration, task_status) -> object:
            taken.append(flow_run.name)
            task_status.started(1)
            return ProcessWorkerResult(status_code=0, identifier="1")

        monkeypatch.setattr(ProcessWorker, "run", note)
        worker = ProcessWorker(work_pool_name=pool, work_queues=queues)
        asyncio.run(worker.start(run_once=True))
        return sorted(taken)

    return ask


@contextmanager
def deployed(program, api):
    program.create_pools(api)
    deployments = program.deploy_and_run(api)
    try:
        yield
    finally:
        for pool in set(program.WORKERS.values()):
            assert api.read_work_pool(pool).type == "process"
            api.delete_work_pool(pool)
        for deployment in deployments:
            api.delete_deployment(deployment)


@pytest.fixture
def pool(api):
    api.create_work_pool(WorkPoolCreate(name="queues", type="process"))
    yield "queues"
    api.delete_work_pool("queues")


@pytest.fixture
def run_in(api, do, pool):
    deployments = []

    def add(queue: str | None) -> None:
        deployment = do.load_orders.to_deployment(
            f"in-{queue}", work_pool_name=pool, work_queue_name=queue
        ).apply()
        api.create_flow_run_from_deployment(deployment, name=f"in {queue}")
        deployments.append(deployment)

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


def test_the_tag_of_a_machine_does_not_route(dont, api, taken_by):
    """Every worker of a work pool may take every run in it, so a tag with the
    name of a machine does not send a run there.

    When it asks, it names its pool and its queues, and neither a machine nor
    tags. So both workers see both runs, and the one that asks first takes them.
    """
    asked = signature(api.get_scheduled_flow_runs_for_work_pool).parameters
    assert {*asked} == {
        "work_pool_name",
        "work_queue_names",
        "scheduled_before",
    }
    with deployed(dont, api):
        assert set(dont.WORKERS.values()) == {"any"}
        assert taken_by("any") == ["load-orders", "train-model"]
        assert taken_by("any") == []


def test_the_worker_of_a_pool_takes_only_what_is_in_it(do, api, taken_by):
    """Then a worker takes only the runs of its own pool."""
    with deployed(do, api):
        assert set(do.WORKERS.values()) == {"gpu", "office"}
        assert taken_by("gpu") == ["train-model"]
        assert taken_by("office") == ["load-orders"]


def test_of_what_is_due_the_queue_with_priority_1_comes_first(
    do, api, pool, run_in
):
    """A deployment names its queue with `work_queue_name`. Of the runs that are
    due, those of the queue with priority 1 come first, then those with 2.
    """
    api.create_work_queue("urgent", work_pool_name=pool, priority=1)
    api.create_work_queue("soon", work_pool_name=pool, priority=2)
    for queue in "soon", "urgent":
        run_in(queue)
    assert do.due_runs(api, pool) == ["in urgent", "in soon"]


def test_a_misspelled_queue_is_created_and_its_run_may_wait_forever(
    do, api, pool, run_in, taken_by
):
    """A misspelled queue is not: Prefect creates it. A worker without
    `--work-queue` still finds its runs. A worker that was started for one queue
    does not.
    """
    api.create_work_queue("urgent", work_pool_name=pool, priority=1)
    run_in("urgnet")
    queues = api.read_work_queues(work_pool_name=pool)
    assert "urgnet" in [queue.name for queue in queues]
    assert taken_by(pool, "urgent") == []
    assert taken_by(pool) == ["in urgnet"]


def test_a_misspelled_pool_is_refused_when_you_deploy(do):
    """A misspelled pool is refused.

    If you name a pool that does not exist, `deploy` says:
    """
    source = do.load_orders.from_source(ROOM, "do.py:load_orders")
    with pytest.raises(ValueError) as refused:
        source.deploy("misspelled", work_pool_name="ofice")
    assert str(refused.value) == (
        "Could not find work pool 'ofice'."
        " Please create it before deploying this flow."
    )
