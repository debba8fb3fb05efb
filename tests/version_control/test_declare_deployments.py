# The files of both programs: prefect.yaml, orders.py, test_prefect_yaml.py.
from importlib import import_module

import pytest
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import MissingFlowError, SignatureMismatchError
from prefect.testing.cli import invoke_and_assert

IN_MARCH = {"region": "eu", "batch": 100}
SCHEDULE = '    schedules: [{cron: "0 6 * * *", timezone: Europe/Paris}]\n'


@pytest.fixture
def folder(do, api, tmp_path, monkeypatch):
    """A folder with the files of the rule, and the work pool they name."""
    api.create_work_pool(do.POOL, overwrite=True)
    for name in ("orders.py", "prefect.yaml"):
        do.copy(do.HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(folder, old, new):
    file = folder / "prefect.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def deploy_all(code=0):
    return invoke_and_assert(["deploy", "--all"], expected_code=code).output


def deployed(api, name="declared"):
    return api.read_deployment_by_name(f"load-orders/{name}")


def test_an_option_that_is_forgotten_is_taken_away(dont, folder):
    (folder / "prefect.yaml").unlink()
    options = [*dont.ORDERS, "--param=region=eu", "--concurrency-limit=1"]
    said = dont.deploy(folder, *options)
    assert "Unable to read the specified config file." in said
    assert dont.on_the_server() == "{'region': 'eu'}, limit 1"

    dont.deploy(folder, *dont.ORDERS, "--param=batch=500")
    assert dont.on_the_server() == "{'batch': 500}, limit None"


def test_the_file_undoes_what_was_changed_by_hand(folder, api):
    deploy_all()
    by_hand = DeploymentUpdate(parameters={"region": "us"}, paused=True)
    api.update_deployment(deployed(api).id, by_hand)
    deploy_all()

    assert (deployed(api).parameters, deployed(api).paused) == (IN_MARCH, False)


def test_what_is_taken_out_of_the_file_stays_on_the_server(folder, api):
    edit(folder, "name: declared\n", f"name: declared-old\n{SCHEDULE}")
    deploy_all()
    edit(folder, SCHEDULE, "    schedules: []\n")
    deploy_all()
    assert len(deployed(api, "declared-old").schedules) == 1

    edit(folder, "declared-old", "declared")
    deploy_all()
    assert deployed(api, "declared-old").schedules[0].active
    api.delete_deployment(deployed(api, "declared-old").id)


def test_a_misspelled_key_or_parameter_is_deployed_without_a_word(folder, api):
    edit(folder, "concurrency_limit", "concurency_limit")
    edit(folder, "region", "regoin")
    deploy_all()
    assert deployed(api).global_concurrency_limit is None
    assert deployed(api).parameters == {"regoin": "eu", "batch": 100}


def test_a_key_of_the_wrong_type_stops_the_deployment(folder):
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
    check = import_module("test_prefect_yaml")
    (deployment,) = check.DEPLOYMENTS
    if error is None:
        check.test_the_deployment_can_run(deployment, monkeypatch)
    else:
        with pytest.raises(error):
            check.test_the_deployment_can_run(deployment | mistake, monkeypatch)
