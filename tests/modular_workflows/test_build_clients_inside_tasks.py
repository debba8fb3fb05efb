import sqlite3

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE
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
    dont.report(database, DAY)
    assert dont.report(database, DAY, return_state=True).is_completed()

    assert dont.queries == [DAY, DAY]
    errors = [r for r in caplog.records if r.message == MESSAGE]
    assert [record.levelname for record in errors] == ["ERROR", "ERROR"]
    assert (
        "Unable to create hash - objects could not be serialized."
        in caplog.text
    )


def test_the_name_of_the_database_as_argument_makes_a_key(do, database, caplog):
    do.report(database, DAY)
    do.report(database, DAY)

    assert do.queries == [DAY]
    assert MESSAGE not in caplog.text


def test_a_connection_cannot_go_to_another_thread_or_process(dont, database):
    connection = sqlite3.connect(database)
    revenue = dont.revenue.with_options(cache_policy=NO_CACHE)

    @flow
    def in_another_thread():
        revenue.submit(connection, DAY).result()

    with pytest.raises(sqlite3.ProgrammingError, match="in that same thread"):
        in_another_thread()

    in_another_process = in_another_thread.with_options(
        task_runner=ProcessPoolTaskRunner(max_workers=1)
    )
    with pytest.raises(TypeError, match="cannot pickle"):
        in_another_process()


@pytest.mark.parametrize(
    ("policy", "queries"),
    [(INPUTS - "connection", [DAY]), (NO_CACHE, [DAY, DAY])],
)
def test_a_policy_without_the_connection_logs_no_error(
    dont, database, monkeypatch, caplog, policy, queries
):
    revenue = dont.revenue.with_options(cache_policy=policy)
    monkeypatch.setattr(dont, "revenue", revenue)

    dont.report(database, DAY)
    dont.report(database, DAY)

    assert dont.queries == queries
    assert MESSAGE not in caplog.text


def test_a_client_that_can_be_pickled_changes_the_key_in_silence(caplog):
    class Client:
        requests = 0

    @task(cache_policy=INPUTS)
    def fetch(client):
        client.requests += 1

    @flow
    def fetch_twice(client):
        fetch(client)
        fetch(client)

    client = Client()
    fetch_twice(client)

    assert client.requests == 2
    assert MESSAGE not in caplog.text
