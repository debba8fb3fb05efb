from importlib import import_module

import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.sorting import TaskRunSort

from tests.observe import settles

ROLLED_BACK = (
    "RolledBack",
    "COMPLETED",
    "Task rolled back as part of transaction",
)


@pytest.fixture
def retry_inside(do, monkeypatch):
    module = import_module("retry_inside")
    monkeypatch.setattr(module, "bank", iter(["down", "up"]))
    monkeypatch.setattr(module, "charges", [])
    monkeypatch.setitem(module.stock, "tea", 3)
    return module


def reservations(api, state):
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    return [
        (run.state.name, run.state.type.value, run.state.message)
        for run in api.read_task_runs(
            flow_run_filter=this_run, sort=TaskRunSort.ID_DESC, limit=9
        )
        if run.state and run.name.startswith("reserve")
    ]


def test_a_hook_without_a_transaction_undoes_nothing(dont, caplog):
    assert dont.sell("order-7", return_state=True).is_failed()

    assert dont.stock == {"tea": 2, "milk": 4}
    assert "rollback" not in caplog.text


def test_a_transaction_undoes_what_was_done(do, api, caplog):
    state = do.sell("order-7", return_state=True)

    assert do.stock == {"tea": 3, "milk": 5}
    assert caplog.messages.count("Running rollback hook 'release'") == 2
    settles(lambda: reservations(api, state), [ROLLED_BACK, ROLLED_BACK])


def test_the_hook_of_the_task_that_failed_is_not_called(do):
    refunds = []
    do.charge_card.on_rollback(refunds.append)
    do.sell("order-7", return_state=True)

    assert refunds == []
    assert do.stock == {"tea": 3, "milk": 5}


def test_an_error_in_a_hook_is_logged_and_the_other_hooks_run(do, caplog):
    @do.reserve.on_rollback
    def forget_milk(reservation):
        if reservation.get("item") == "milk":
            raise ConnectionError("the warehouse does not answer")

    do.sell("order-7", return_state=True)

    message = (
        "An error was encountered while running rollback hook 'forget_milk'"
    )
    assert message in caplog.messages
    assert do.stock == {"tea": 3, "milk": 4}


def test_a_failed_attempt_rolls_back_although_its_retry_succeeds(retry_inside):
    assert retry_inside.sell_tea("order-7", return_state=True).is_completed()
    assert retry_inside.charges == ["order-7"]
    assert retry_inside.stock == {"tea": 3}


def test_a_retry_of_the_flow_does_everything_again(retry_inside, monkeypatch):
    no_retry = retry_inside.charge_card.with_options(retries=0)
    monkeypatch.setattr(retry_inside, "charge_card", no_retry)
    sell_tea = retry_inside.sell_tea.with_options(retries=1)

    assert sell_tea("order-7", return_state=True).is_completed()
    assert retry_inside.charges == ["order-7"]
    assert retry_inside.stock == {"tea": 2}
