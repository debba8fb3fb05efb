from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from importlib import import_module
from threading import Barrier

import pytest
from prefect import task
from prefect.deployments import run_deployment
from prefect.states import Failed

from tests.backend import patient

DAY = "2026-03-01"


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "shop.db")


def test_a_second_insert_doubles_the_revenue(dont, file):
    """`insert` adds rows, whatever is there already. Prefect compares no data,
    so it does not know that an earlier flow run wrote the same orders.
    """
    states = [dont.load_orders(DAY, file, return_state=True) for _ in range(2)]

    assert [state.name for state in states] == ["Completed", "Completed"]
    assert [state.result() for state in states] == [42, 84]


def test_an_upsert_writes_once_and_takes_the_new_price(do, file):
    """Each order has a key, and the task writes the row with that key: it
    inserts the row, or gives the one that is there the new price.
    """
    assert [do.load_orders(DAY, file) for _ in range(2)] == [42, 42]

    do.ORDERS[DAY][0] = ("order-1", 30)
    assert do.load_orders(DAY, file) == 52


def test_a_unique_column_alone_fails_the_second_run(do, dont, file):
    """Or you made the key of the table unique, and since then each repeated run
    fails with this message:
    """
    do.load_orders(DAY, file)

    assert dont.load_orders(DAY, file, return_state=True).message == (
        "Flow run encountered an exception: IntegrityError:"
        " UNIQUE constraint failed: orders.id"
    )


@pytest.fixture
def deploy(do, api):
    start_once = import_module("start_once")
    made = []

    def deploy(name):
        made.append(start_once.load_orders.to_deployment(name).apply())
        return made[-1]

    yield deploy
    for deployment in made:
        api.delete_deployment(deployment)


def test_one_key_makes_one_flow_run_with_the_first_parameters(
    deploy, api, monkeypatch
):
    """`run_deployment` returns the first run of this flow with that key, even
    if that run has failed, and with its parameters, even if you send others.
    """
    start_once = import_module("start_once")
    waits = []

    def run(*given, **options):
        waits.append(options["timeout"])
        return run_deployment(*given, **options)

    monkeypatch.setattr(start_once, "run_deployment", run)
    start, deployment = start_once.start, deploy("idempotent-one")
    first = start(deployment, DAY)
    api.set_flow_run_state(first.id, Failed(), force=True)
    again = start(deployment, DAY)
    other = start(deployment, "2026-03-02")
    elsewhere = run_deployment(
        deploy("idempotent-two"),
        parameters={"day": "2026-03-03"},
        idempotency_key=first.idempotency_key,
        timeout=0,
    )

    assert again.id == elsewhere.id == first.id != other.id
    assert waits == [0, 0, 0]
    assert first.idempotency_key == f"load-orders-{DAY}"
    assert elsewhere.parameters == {"day": DAY}
    assert other.parameters == {"day": "2026-03-02"}


@pytest.fixture
def mail_once(do, monkeypatch):
    mail_once = import_module("mail_once")
    monkeypatch.setattr(mail_once, "mails", [])
    return mail_once


def test_a_committed_key_is_not_done_again(mail_once, tmp_path):
    """`transaction` writes a file with that key to the result storage when its
    block ends without an exception. The next run finds the file, so its
    transaction is committed from the beginning.
    """
    for day in (DAY, DAY, "2026-03-02"):
        mail_once.report(day)

    assert mail_once.mails == [f"report of {DAY}", "report of 2026-03-02"]
    assert (tmp_path / "storage" / f"report-mail-{DAY}").is_file()


def test_a_mail_that_failed_is_sent_again(mail_once, monkeypatch):
    """If the task fails when the mail has already gone out, the next run sends
    it again.
    """

    @task
    def send_and_fail(day):
        mail_once.mails.append(day)
        raise ConnectionError("the mail server hung up")

    monkeypatch.setattr(mail_once, "send_mail", send_and_fail)
    for _ in range(2):
        mail_once.report(DAY, return_state=True)
    assert mail_once.mails == [DAY, DAY]


def test_two_runs_at_the_same_time_both_send(mail_once, monkeypatch):
    """Two runs at the same time both find no file, and both send the mail, so
    prevent overlap.
    """
    both = Barrier(2)

    @task
    def send_with_the_other(day):
        both.wait(patient(30))
        mail_once.mails.append(day)

    monkeypatch.setattr(mail_once, "send_mail", send_with_the_other)
    # A copy of the context takes the test's settings into the thread.
    with ThreadPoolExecutor() as pool:
        for _ in range(2):
            pool.submit(copy_context().run, mail_once.report, DAY)
    assert mail_once.mails == [DAY, DAY]
