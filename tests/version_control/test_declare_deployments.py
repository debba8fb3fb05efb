# Both programs use deploying.py; beside them stand prefect.yaml, orders.py and
# test_prefect_yaml.py.
from importlib import import_module

import pytest
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.deployments import run_deployment
from prefect.exceptions import (
    MissingFlowError,
    ObjectNotFound,
    ScriptError,
    SignatureMismatchError,
)
from prefect.flow_engine import run_flow
from prefect.settings import temporary_settings
from prefect.testing.cli import invoke_and_assert

SIX, SEVEN = '{cron: "0 6 * * *"}', '{cron: "0 7 * * *"}'


@pytest.fixture
def folder(do, monkeypatch):
    """A folder with the files of the rule, and the work pool they name."""
    with do.project() as folder:
        monkeypatch.chdir(folder)
        yield folder


def edit(folder, old, new):
    file = folder / "prefect.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def deploy_all(code=0):
    return invoke_and_assert(["deploy", "--all"], expected_code=code).output


def deployed(api, name="declared"):
    return api.read_deployment_by_name(f"load-orders/{name}")


def test_an_option_that_is_forgotten_is_taken_away(dont, folder, api, capfd):
    """A deployment that is typed by hand lives only on the server, and the next
    person who types it silently resets what they forget.

    `prefect deploy` sends the whole deployment. If the name exists, the server
    replaces its fields, and an option that is not given goes back to its
    default, even the work queue. Only schedules stay. So Ben's runs load the
    region `test`, which is the default of the flow, and two of them may run at
    once. The command ends with success.
    """
    (folder / "prefect.yaml").unlink()
    first = [*dont.ORDERS, "--param=region=eu", "--concurrency-limit=1"]
    first += ["--work-queue=special", "--tag=orders", "--cron=0 6 * * *"]
    said = dont.deploy(folder, *first)
    assert "Unable to read the specified config file." in said
    assert dont.on_the_server() == "{'region': 'eu'}, limit 1"
    before = deployed(api)
    assert (before.work_queue_name, before.tags) == ("special", ["orders"])

    dont.deploy(folder, *dont.ORDERS, "--param=batch=500")
    assert dont.on_the_server() == "{'batch': 500}, limit None"
    after = deployed(api)
    assert (after.work_queue_name, after.tags) == ("default", [])
    assert [s.schedule.cron for s in after.schedules] == ["0 6 * * *"]
    run = run_deployment(after.id, timeout=0)
    load_orders = import_module("orders").load_orders
    run_flow(load_orders, flow_run=run)
    load_orders.fn()
    assert capfd.readouterr().out.splitlines()[-2:] == [
        f"Loading the orders of test, {batch} at a time." for batch in (500, 10)
    ]


def test_the_file_undoes_what_was_changed_by_hand(folder, api, do):
    """What somebody changed by hand on the server, such as a parameter or a
    pause, is put back by the next deploy.
    """
    deploy_all()
    by_hand = DeploymentUpdate(parameters={"region": "us"}, paused=True)
    api.update_deployment(deployed(api).id, by_hand)
    deploy_all()

    assert do.on_the_server() == "{'batch': 100, 'region': 'eu'}, limit 1"
    assert not deployed(api).paused
    assert deployed(api).work_pool_name == "declared-pool"
    assert api.read_work_pool("declared-pool").type == "process"
    assert deployed(api).entrypoint == "orders.py:load_orders"


def test_a_deployment_that_is_taken_out_stays(folder, api):
    """It does not delete a deployment that you take out. Do that with
    `prefect deployment delete`.
    """
    edit(folder, "name: declared\n", "name: declared-old\n")
    deploy_all()
    edit(folder, "declared-old", "declared")
    deploy_all()
    name = f"load-orders/{deployed(api, 'declared-old').name}"

    invoke_and_assert(["deployment", "delete", name])
    with pytest.raises(ObjectNotFound):
        deployed(api, "declared-old")


def test_the_last_schedule_stays(folder, api):
    """It does not delete the last schedule of a deployment. If you take one of
    two out, it is deleted, but with `schedules: []`, or without the key, what
    is there stays. End the last one with `active: false`, or deploy
    `schedules: []` with `PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY=true`, a
    setting that Prefect has since 3.9.
    """
    from prefect.settings import (
        PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY as CLEAR,
    )

    text = (folder / "prefect.yaml").read_text()

    def after(schedules):
        (folder / "prefect.yaml").write_text(text + schedules)
        deploy_all()
        found = deployed(api).schedules
        return sorted((s.schedule.cron, s.active) for s in found)

    six, seven = ("0 6 * * *", True), ("0 7 * * *", True)
    assert after(f"    schedules: [{SIX}, {SEVEN}]\n") == [six, seven]
    assert after(f"    schedules: [{SIX}]\n") == [six]
    with pytest.warns(FutureWarning, match="Preserving existing schedules"):
        assert after("    schedules: []\n") == [six]
    assert after("") == [six]
    ended = SIX.replace("}", ", active: false}")
    assert after(f"    schedules: [{ended}]\n") == [("0 6 * * *", False)]
    with temporary_settings({CLEAR: True}):
        assert after("    schedules: []\n") == []


def test_a_misspelled_key_or_parameter_is_deployed_without_a_word(folder, api):
    """It does not refuse a key that it does not know. With
    `concurency_limit: 1` there is no limit, and no warning.

    It does not check the parameters against the flow.
    """
    edit(folder, "concurrency_limit", "concurency_limit")
    edit(folder, "region", "regoin")
    assert "concurency" not in deploy_all()
    assert deployed(api).global_concurrency_limit is None
    assert deployed(api).parameters == {"regoin": "eu", "batch": 100}


def test_a_key_of_the_wrong_type_stops_the_deployment(folder, api):
    """The second comes when `prefect.yaml` has a value of the wrong type:"""
    deploy_all()
    edit(folder, "concurrency_limit: 1", "concurrency_limit: one")
    assert (
        "Skipping deployment configuration due to validation errors."
        in deploy_all(code=1)
    )


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({}, None),
        ({"entrypoint": "orders.py:load_order"}, MissingFlowError),
        ({"parameters": {"regoin": "eu"}}, SignatureMismatchError),
        ({"concurency_limit": 1}, AssertionError),
    ],
    ids=str,
)
def test_a_test_of_the_file_finds_the_mistakes(do, monkeypatch, mistake, error):
    """A test in the same folder finds such mistakes before the server does, and
    also code that cannot be imported.
    """
    check = import_module("test_prefect_yaml")
    (deployment,) = check.DEPLOYMENTS
    if error is None:
        check.test_the_deployment_can_run(deployment, monkeypatch)
        del deployment["parameters"]
        check.test_the_deployment_can_run(deployment, monkeypatch)
    else:
        with pytest.raises(error):
            check.test_the_deployment_can_run(deployment | mistake, monkeypatch)


def test_a_test_of_the_file_finds_an_error_of_the_code(folder, monkeypatch):
    """A test in the same folder finds such mistakes before the server does, and
    also code that cannot be imported.
    """
    check = import_module("test_prefect_yaml")
    monkeypatch.setattr(check, "FILE", folder / "prefect.yaml")
    code = (folder / "orders.py").read_text()
    (folder / "orders.py").write_text(f"import not_installed\n{code}")
    with pytest.raises(ScriptError, match="not_installed"):
        check.test_the_deployment_can_run(*check.DEPLOYMENTS, monkeypatch)
    deploy_all()
