from importlib import import_module

import pytest
from prefect import task
from prefect.states import Failed

DAY = "2026-03-01"


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "shop.db")


def test_a_second_insert_doubles_the_revenue(dont, file):
    states = [dont.load_orders(DAY, file, return_state=True) for _ in range(2)]

    assert [state.name for state in states] == ["Completed", "Completed"]
    assert [state.result() for state in states] == [42, 84]


def test_an_upsert_writes_once_and_takes_the_new_price(do, file):
    assert [do.load_orders(DAY, file) for _ in range(2)] == [42, 42]

    do.ORDERS[DAY][0] = ("order-1", 30)
    assert do.load_orders(DAY, file) == 52


def test_a_unique_column_alone_fails_the_second_run(do, dont, file):
    do.load_orders(DAY, file)

    assert dont.load_orders(DAY, file, return_state=True).message == (
        "Flow run encountered an exception: IntegrityError:"
        " UNIQUE constraint failed: orders.id"
    )


def test_one_idempotency_key_makes_one_flow_run_with_the_first_parameters(
    do, api
):
    start_once = import_module("start_once")
    first = start_once.start(DAY)
    api.set_flow_run_state(first.id, Failed(), force=True)
    again = start_once.start(DAY)
    other = start_once.start("2026-03-02")
    same_key = start_once.run_deployment(
        first.deployment_id,
        parameters={"day": "2026-03-03"},
        idempotency_key=first.idempotency_key,
        timeout=0,
    )

    assert again.id == same_key.id == first.id != other.id
    assert same_key.parameters == {"day": DAY}


def test_a_committed_key_is_not_done_again_but_a_failed_one_is(do, monkeypatch):
    mail_once = import_module("mail_once")
    monkeypatch.setattr(mail_once, "mails", [])
    for _ in range(2):
        mail_once.report(DAY)
    assert mail_once.mails == [f"report of {DAY}"]

    @task
    def send_and_fail(day):
        mail_once.mails.append(day)
        raise ConnectionError("the mail server hung up")

    monkeypatch.setattr(mail_once, "send_mail", send_and_fail)
    for _ in range(2):
        mail_once.report("2026-03-02", return_state=True)
    assert mail_once.mails[1:] == ["2026-03-02", "2026-03-02"]
