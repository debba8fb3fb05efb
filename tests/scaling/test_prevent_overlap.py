import asyncio

import pytest
from prefect import flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.runner import Runner
from prefect.states import Pending


@flow
def load() -> None: ...


@pytest.fixture
def deploy(api):
    """Deploy with a limit of one run, until the test ends."""
    deployments = []

    def add(name: str, strategy: str) -> Runner:
        runner = Runner(pause_on_shutdown=False)
        one = ConcurrencyLimitConfig(limit=1, collision_strategy=strategy)
        deployments.append(runner.add_flow(load, name, concurrency_limit=one))
        return runner

    yield add
    for deployment in deployments:
        api.delete_deployment(deployment)


def new_run(api, name: str):
    deployment = api.read_deployment_by_name(f"load/{name}")
    return api.create_flow_run_from_deployment(deployment.id)


def test_without_a_limit_the_next_run_overtakes(dont, capsys):
    dont.deploy()
    dont.start_run("02:00")

    assert dont.table == ["order-1", "order-2"] * 2
    assert "Run of 02:30: Completed\n" in capsys.readouterr().out


def test_with_a_limit_the_next_run_is_cancelled(do, capsys):
    do.deploy()
    do.start_run("02:00")

    assert do.table == ["order-1", "order-2"]
    assert capsys.readouterr().out == (
        "Run of 02:30: Cancelled\nRun of 02:00: Completed\n"
    )


def test_the_limit_is_free_again_when_the_run_has_ended(do, capsys):
    do.deploy()
    for _ in range(2):
        do.start_run("02:00")

    assert capsys.readouterr().out.count("Run of 02:00: Completed\n") == 2


@pytest.mark.parametrize(
    "strategy, name, message",
    [
        ("CANCEL_NEW", "Cancelled", "Deployment concurrency limit reached."),
        ("ENQUEUE", "AwaitingConcurrencySlot", None),
    ],
)
def test_a_real_runner_is_refused(strategy, name, message, deploy, api):
    runner = deploy("overlap", strategy)
    first, second = [new_run(api, "overlap") for _ in range(2)]
    assert api.set_flow_run_state(first.id, Pending()).state.is_pending()

    asyncio.run(runner.start(run_once=True))

    refused = api.read_flow_run(second.id).state
    assert (refused.name, refused.message) == (name, message)


def test_a_second_deployment_and_a_plain_call_are_not_limited(deploy, api):
    deploy("overlap-a", "CANCEL_NEW")
    deploy("overlap-b", "CANCEL_NEW")
    for name in "overlap-a", "overlap-b":
        run = new_run(api, name)
        assert api.set_flow_run_state(run.id, Pending()).state.is_pending()

    assert load(return_state=True).is_completed()


def test_to_deploy_without_the_limit_removes_it(do, dont, api):
    name = "load-orders/prevent-overlap"
    do.deploy()
    assert api.read_deployment_by_name(name).global_concurrency_limit.limit == 1
    dont.deploy()
    assert api.read_deployment_by_name(name).global_concurrency_limit is None
