"""What comes in is missing, wrong or late: what the team sees, and who is told.

After each fault the table has each order of the day once, or none of a source.
"""

import sqlite3
from contextlib import closing

import pytest

from tests.e2e.office import ALL, STORES
from tests.observe import log_messages, settles, task_runs

pytestmark = pytest.mark.xdist_group("office")


def test_the_web_shop_is_busy_for_a_moment(office, day):
    office.shop.refusals = [500, 429]
    run = office.becomes(office.ask(day=day), "Completed")
    assert office.shop.asked == [str(day)] * 3
    assert office.sold(day) == ALL
    assert office.alerts() == []
    settles(
        lambda: [t for t in task_runs(office.api, run.state) if t[2] > 1],
        [("fetch_orders", "Completed", 3)],
    )


def test_the_web_shop_stays_away(office, day):
    office.shop.refusals = [503] * 4
    run = office.becomes(office.ask(day=day), "Failed")
    assert office.shop.asked == [str(day)] * 4
    assert "Not loaded: web-shop." in run.state.message
    office.told(f"sales of {day} is Failed", "Not loaded: web-shop.")
    assert office.sold(day) == STORES
    office.completes(day)


def test_the_database_is_locked(office, day):
    with closing(sqlite3.connect(office.database)) as other:
        other.execute("begin exclusive")
        run = office.ask(day=day)

        def waits():
            state = office.api.read_flow_run(run.id).state
            names = [t[1] for t in task_runs(office.api, state)]
            return "AwaitingRetry" in names

        settles(waits, True, 60)
        other.rollback()
    run = office.becomes(run, "Completed")
    assert office.sold(day) == ALL
    assert office.alerts() == []


def test_a_parameter_is_wrong(office, day):
    value, name = office.ask(day="yesterday"), office.ask(dya=day)
    value = office.becomes(value, "Failed")
    assert "day: Input should be a valid date" in value.state.message
    name = office.becomes(name, "Crashed")
    settles(lambda: len(office.alerts()), 2)
    why = "expects parameters ['day', 'refresh'] but was provided with"
    assert why in (office.folder / "worker.log").read_text()
    assert why not in str(log_messages(office.api, name.state))
    assert office.sold(day) == office.shop.asked == []


def test_a_file_is_bad(office, day):
    file = office.folder / f"csv/{day}/berlin.csv"
    good = file.read_text()
    file.write_text(good.replace("250", "2.50 EUR"))
    run = office.becomes(office.ask(day=day), "Failed")
    assert "Not loaded: berlin." in run.state.message
    office.told(f"sales of {day} is Failed", "Not loaded: berlin.")
    line = "berlin.csv, line 3 is no order."
    settles(lambda: line in str(log_messages(office.api, run.state)), True)
    assert office.sold(day) == STORES[1:] + ALL[2:]
    file.write_text(good)
    office.completes(day)


def test_a_secret_is_missing(office, day):
    office.start_worker(DAILY_SALES_SHOP_TOKEN=None)
    run = office.becomes(office.ask(day=day), "Failed")
    assert "shop_token\n  Field required" in run.state.message
    office.told(f"sales of {day} is Failed", "shop_token")
    assert office.sold(day) == office.shop.asked == []
    office.start_worker()
    office.completes(day)
