import asyncio
from contextlib import contextmanager
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
    program.deploy_and_run(api)
    try:
        yield
    finally:
        for pool in set(program.WORKERS.values()):
            api.delete_work_pool(pool)


@pytest.fixture
def pool(api):
    api.create_work_pool(WorkPoolCreate(name="queues", type="process"))
    yield "queues"
    api.delete_work_pool("queues")


@pytest.fixture
def run_in(api, do, pool):
    def add(queue: str | None) -> None:
        deployment = do.load_orders.to_deployment(
            f"in-{queue}", work_pool_name=pool, work_queue_name=queue
        ).apply()
        api.create_flow_run_from_deployment(deployment, name=f"in {queue}")

    return add


def test_the_tag_of_a_machine_does_not_route(dont, api, taken_by):
    with deployed(dont, api):
        assert taken_by("any") == ["load-orders", "train-model"]


def test_the_worker_of_a_pool_takes_only_what_is_in_it(do, api, taken_by):
    with deployed(do, api):
        assert taken_by("gpu") == ["train-model"]
        assert taken_by("office") == ["load-orders"]


def test_of_what_is_due_the_queue_with_priority_1_comes_first(
    do, api, pool, run_in
):
    api.create_work_queue("urgent", work_pool_name=pool, priority=1)
    run_in("default")
    run_in("urgent")
    assert do.due_runs(api, pool) == ["in urgent", "in default"]


def test_a_misspelled_queue_is_created_and_its_run_may_wait_for_ever(
    do, api, pool, run_in, taken_by
):
    api.create_work_queue("urgent", work_pool_name=pool, priority=1)
    run_in("urgnet")
    queues = api.read_work_queues(work_pool_name=pool)
    assert "urgnet" in [queue.name for queue in queues]
    assert taken_by(pool, "urgent") == []
    assert taken_by(pool) == ["in urgnet"]


def test_a_misspelled_pool_is_refused_when_you_deploy(do):
    source = do.load_orders.from_source(ROOM, "do.py:load_orders")
    with pytest.raises(ValueError) as refused:
        source.deploy("misspelled", work_pool_name="ofice")
    assert str(refused.value) == (
        "Could not find work pool 'ofice'."
        " Please create it before deploying this flow."
    )
