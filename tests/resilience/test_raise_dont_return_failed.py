import sqlite3
from contextlib import closing

import pytest
from prefect import flow, task
from prefect.exceptions import FailedRun
from prefect.states import Failed
from prefect.transactions import transaction

from tests.observe import settles, task_runs

GOOD = {"order-1": 20, "order-2": 0}
BAD = {"order-1": 20, "order-2": -5}


def test_the_flow_goes_on_after_a_returned_failure(dont, api, caplog):
    """A returned Failed state is a normal return to Python, so the flow that
    called the task goes on as if nothing had happened.

    `return` is a normal end for Python. Prefect sets the task run to `Failed`,
    but a flow that calls the task gets the state as a value, and no exception.
    `load_orders` does not look at the value, so it goes on. Its run is
    `Completed`, because it returns `None`.
    """
    state = dont.load_orders(BAD, return_state=True)

    assert state.name == "Completed"
    assert dont.table == BAD
    assert "Task run failed with state: Failed(message=" in caplog.text
    assert "Traceback" not in caplog.text
    settles(
        lambda: task_runs(api, state),
        [("check", "Failed", 1), ("load", "Completed", 1)],
    )

    returns_it = flow(lambda: dont.check(BAD), name="return-the-value")
    assert returns_it(return_state=True).is_failed()


def test_a_raised_error_stops_the_flow(do, api):
    """It stops the flow, and what it says becomes the end of the message of the
    state.

    It also keeps the task testable without Prefect: `check.fn` raises it too.
    """
    state = do.load_orders(BAD, return_state=True)

    assert state.name == "Failed"
    assert state.message.endswith("ValueError: order-2 costs -5")
    assert do.table == {}
    settles(lambda: task_runs(api, state), [("check", "Failed", 1)])
    with pytest.raises(ValueError, match=r"^order-2 costs -5$"):
        do.check.fn(BAD)

    assert do.load_orders(GOOD, return_state=True).is_completed()
    assert do.table == GOOD


def return_failed():
    return Failed(message="no prices yet")


def raise_error():
    raise ValueError("no prices yet")


def noticed(get):
    try:
        return f"`{type(get()).__name__}` as a value"
    except Exception as error:
        return f"`{type(error).__name__}` raised"


def the_caller_of_the_task(end):
    return flow(lambda: noticed(task(end)), name="call")()


def the_reader_of_the_future(end):
    return flow(lambda: noticed(task(end).submit().result), name="submit")()


def the_caller_of_a_flow(end):
    return noticed(flow(end))


def the_retry_condition(end):
    seen = []

    def condition(task, task_run, state):
        seen.append(noticed(state.result))

    tried = task(end, retries=1, retry_condition_fn=condition)
    flow(lambda: tried(return_state=True) and None, name="retry")()
    return seen[0]


def the_database_around_it(end):
    with closing(sqlite3.connect(":memory:")) as shop:
        shop.execute("create table prices (price)")

        @flow
        def load():
            with shop:
                shop.execute("insert into prices values (4.0)")
                return end()

        assert load(return_state=True).is_failed()
        shop.rollback()
        kept = shop.execute("select count(*) from prices").fetchone() == (1,)
    return "commits" if kept else "rolls back"


def the_transaction_around_it(end):
    @flow
    def load():
        with transaction(key=end.__name__):
            return end()

    assert load(return_state=True).is_failed()
    with transaction(key=end.__name__, commit_mode="OFF") as again:
        return "commits" if again.is_committed() else "rolls back"


def test_only_an_exception_is_noticed_by_all(table):
    """The code around a `return` takes it for a success too."""
    places = {
        "the flow that calls the task gets": the_caller_of_the_task,
        "`result()` of a submitted task gives": the_reader_of_the_future,
        "the caller of a flow gets": the_caller_of_a_flow,
        "`state.result()` in a retry condition gives": the_retry_condition,
        "`with` a SQLite connection": the_database_around_it,
        "`with transaction(key=...)`": the_transaction_around_it,
    }
    rows = [
        [words, see(return_failed), see(raise_error)]
        for words, see in places.items()
    ]
    table(
        "who_notices.md", ["Around it", "`return Failed(...)`", "`raise`"], rows
    )


def test_a_flow_may_return_a_failure(api):
    """The run ends `Failed` with your message, and a caller that does not ask
    for the state gets a `FailedRun` exception.
    """

    @flow
    def load_prices():
        return Failed(message="no prices yet")

    state = load_prices(return_state=True)
    stored = api.read_flow_run(state.state_details.flow_run_id).state
    assert (stored.name, stored.message) == ("Failed", "no prices yet")
    with pytest.raises(FailedRun) as error:
        load_prices()
    assert error.exconly() == "prefect.exceptions.FailedRun: no prices yet"


def test_the_state_of_a_task_raises_its_exception(do):
    """To pass the failure on, call `result()` on the state: it raises the
    exception of the task.
    """

    @flow
    def load_orders():
        state = do.check(BAD, return_state=True)
        do.load(GOOD)
        state.result()

    with pytest.raises(ValueError, match="order-2 costs -5"):
        load_orders()
    assert do.table == GOOD
