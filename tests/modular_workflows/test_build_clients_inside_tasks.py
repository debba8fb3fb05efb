import asyncio
import functools
import os
import sqlite3
from threading import Lock

import httpx
import pytest
from prefect import flow, task
from prefect.cache_policies import DEFAULT, INPUTS, NO_CACHE, TASK_SOURCE
from prefect.task_runners import ProcessPoolTaskRunner

DAY = "2026-03-02"
MESSAGE = (
    "Error encountered when computing cache key - result will not be persisted."
)


@pytest.fixture
def database(dont, tmp_path):
    file = str(tmp_path / "orders.db")
    dont.create_orders(file)
    return file


def test_a_connection_as_argument_leaves_the_task_without_a_cache(
    dont, database, caplog
):
    """Prefect may run a task in another thread or process, where a connection
    cannot go, and it can make no cache key from one.

    So Prefect logs the error and runs the task without a key.
    """
    dont.report(database, DAY)
    assert dont.report(database, DAY, return_state=True).is_completed()

    assert dont.queries == [DAY, DAY]
    errors = [r for r in caplog.records if r.message == MESSAGE]
    assert [record.levelname for record in errors] == ["ERROR", "ERROR"]
    assert (
        "Unable to create hash - objects could not be serialized."
        in caplog.text
    )


def test_a_retry_of_the_flow_does_not_find_the_result(dont, do, database):
    """Without a key the result is not stored, and neither the second report nor
    a retry of the flow can find it.
    """

    def fails_once(report):
        @flow(retries=1)
        def report_and_fail():
            report()
            assert len(tries) == 2, tries.append("a try")

        tries = ["a try"]
        report_and_fail()

    fails_once(lambda: dont.report(database, DAY))
    assert dont.queries == [DAY, DAY]
    dont.report(database, DAY)
    assert dont.queries == [DAY, DAY, DAY]

    fails_once(lambda: do.report(database, DAY))
    assert do.queries == [DAY]


@pytest.mark.parametrize("policy", [None, DEFAULT, INPUTS])
@pytest.mark.parametrize("client", [httpx.Client, Lock])
def test_a_task_without_a_cache_logs_the_error_too(client, policy, caplog):
    """The cache policies `DEFAULT` and `INPUTS` hash the arguments: as JSON, or
    if that fails, as a pickle. A database connection, an HTTP client or a lock
    can be neither.

    A `task` that you never gave a cache logs the same error, because Prefect
    computes `DEFAULT` for it too.
    """
    options = {"cache_policy": policy} if policy else {}

    @task(**options)
    def fetch(client):
        return "prices"

    assert fetch(client()) == "prices"
    assert caplog.text.count(MESSAGE) == 1
    assert "JSON error: " in caplog.text and "Pickle error: " in caplog.text
    assert fetch.cache_policy == (policy or DEFAULT)


def test_the_name_of_the_database_as_argument_makes_a_key(
    do, database, tmp_path, caplog, capsys
):
    """The arguments are two strings now. The second report finds the result
    under their key and sends no query.
    """
    do.report(database, DAY)
    do.report(database, DAY)

    assert do.queries == [DAY]
    assert MESSAGE not in caplog.text
    assert do.revenue.cache_policy == INPUTS + TASK_SOURCE
    assert capsys.readouterr().out == f"{DAY}: 20.5 EUR\n" * 2

    other = str(tmp_path / "other.db")
    do.create_orders(other)
    do.report(other, DAY)
    do.report(other, "2026-03-03")
    assert do.queries == [DAY, DAY, "2026-03-03"]


def test_the_connection_is_closed_even_if_the_query_fails(do, monkeypatch):
    """`closing` closes the connection even if the query fails."""
    connection = sqlite3.connect(":memory:")
    monkeypatch.setattr(do.sqlite3, "connect", lambda database: connection)

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        do.revenue(":memory:", DAY)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.execute("SELECT 1")


def test_a_connection_cannot_go_to_another_thread_or_process(dont, database):
    """Prefect may run a task in another thread or process, where a connection
    cannot go, and it can make no cache key from one.

    A task that you call runs in the flow's own thread. If you submit it, it
    runs in another thread, and SQLite refuses the connection there. With a
    `ProcessPoolTaskRunner` it runs in another process, and the connection
    cannot be sent to it.
    """
    connection = sqlite3.connect(database)
    revenue = dont.revenue.with_options(cache_policy=NO_CACHE)

    @flow
    def in_this_thread():
        return revenue(connection, DAY)

    assert in_this_thread() == 20.5

    @flow
    def in_another_thread():
        revenue.submit(connection, DAY).result()

    with pytest.raises(sqlite3.ProgrammingError) as error:
        in_another_thread()
    assert (
        "SQLite objects created in a thread can only be used in that same"
        " thread." in str(error.value)
    )

    in_another_process = in_another_thread.with_options(
        task_runner=ProcessPoolTaskRunner(max_workers=1)
    )
    with pytest.raises(TypeError) as error:
        in_another_process()
    assert "cannot pickle 'sqlite3.Connection' object" in str(error.value)


@pytest.mark.parametrize(
    ("policy", "queries"),
    [(INPUTS - "connection", [DAY]), (NO_CACHE, [DAY, DAY, DAY])],
)
def test_a_policy_without_the_connection_logs_no_error(
    dont, database, monkeypatch, tmp_path, caplog, policy, queries
):
    """If you only call the task, you can pass the connection and take it out of
    the key: `cache_policy=INPUTS - "connection"`. The key then does not say
    which database was asked, so a call with a connection to another one finds
    the first one's result. If you want no cache at all,
    `cache_policy=NO_CACHE` ends the errors.
    """
    revenue = dont.revenue.with_options(cache_policy=policy)
    monkeypatch.setattr(dont, "revenue", revenue)
    other = str(tmp_path / "other.db")
    dont.create_orders(other)

    dont.report(database, DAY)
    dont.report(database, DAY)
    dont.report(other, DAY)

    assert dont.queries == queries
    assert MESSAGE not in caplog.text


@pytest.mark.parametrize(("counts", "state"), [(0, "Cached"), (1, "Completed")])
def test_a_client_that_can_be_pickled_changes_the_key_in_silence(
    caplog, counts, state
):
    """A client that can be pickled is no better, because its inner state
    becomes part of the key. If it counts its requests, each call has a new key,
    and no line in the log tells you.
    """

    class Client:
        requests = 0

    @task(cache_policy=INPUTS)
    def fetch(client):
        client.requests += counts
        return "prices"

    client = Client()
    client.requests = 0
    fetch(client)
    assert fetch(client, return_state=True).name == state
    assert MESSAGE not in caplog.text


def test_a_cached_function_makes_one_client_for_many_task_runs(database):
    """If it is expensive to connect, let a function with `functools.cache` make
    the client, and call that function in the task: the task runs of a process
    then share one client.
    """
    made = []

    @functools.cache
    def connect(database):
        made.append(database)
        return sqlite3.connect(database, check_same_thread=False)

    @task
    def count(database):
        return connect(database).execute("SELECT count(*) FROM orders")

    @flow
    def count_often():
        count(database)
        count.map([database] * 3).result()

    count_often()
    assert made == [database]
    connect(database).close()


def test_an_async_client_serves_one_event_loop():
    """An async client belongs to one event loop. Each async task that a sync
    flow submits runs in a loop of its own, so the second of two task runs fails
    if they share a client. So does the second `asyncio.run` in one process.
    """
    url = f"{os.environ['PREFECT_API_URL']}/health"
    connect = functools.cache(httpx.AsyncClient)

    @task
    async def ask():
        return (await connect().get(url)).json()

    @flow
    def submit_two():
        first = ask.submit().result()
        second = ask.submit().result(raise_on_failure=False)
        return f"{first}, {second}"

    @flow
    async def await_two():
        return [await ask(), await ask()]

    assert submit_two() == "True, Event loop is closed"

    connect.cache_clear()
    assert asyncio.run(await_two()) == [True, True]
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        asyncio.run(await_two())
