import json
from base64 import b64decode

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from pydantic import SecretStr

from tests.observe import settles, task_runs

TOKEN = b"not-a-real-token"


@pytest.fixture
def storage(tmp_path):
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results"}):
        yield tmp_path / "results"


def holding_the_token(program, storage):
    return [TOKEN in pickled for pickled in program.stored_in(storage)]


def test_a_persisted_flow_stores_the_token_of_its_task(dont, storage):
    """Everyone who may read the file of a stored result can decode it, and
    Prefect stores more than you ask for.

    There are three files, and each contains the token:

    By default a result is pickled and written in Base64, which makes it
    unreadable but does not encrypt it.

    An `HTTPStatusError` carries its request, and the request carries the
    header.

    The files stay when the run is over.
    """
    dont.load_orders(return_state=True)
    assert holding_the_token(dont, storage) == [True, True, True]
    assert all(TOKEN not in file.read_bytes() for file in storage.iterdir())
    errors = [b"HTTPStatusError" in file for file in dont.stored_in(storage)]
    assert sum(errors) == 2


@pytest.mark.parametrize("persists", [True, False, None])
def test_the_result_of_a_task_follows_its_flow(storage, persists):
    """The result of `log_in`, because `persist_result=True` on a `flow` is
    also the default of its tasks.
    """

    @task
    def log_in():
        return "not-a-real-token"

    @flow(persist_result=persists)
    def load_orders():
        log_in()
        assert len([*storage.glob("*")]) == (1 if persists else 0)
        return "done"

    assert load_orders() == "done"


@pytest.mark.parametrize("persists", [True, False, None])
def test_the_exception_of_a_flow_is_always_stored(storage, persists):
    """If a task persists its results, Prefect also stores the exception with
    which it fails.

    Prefect always stores the exception with which a flow fails, even with
    `persist_result=False`.
    """

    @task(persist_result=persists)
    def fetch_orders():
        raise PermissionError("401")

    @flow(persist_result=persists)
    def load_orders():
        raise PermissionError("401")

    fetch_orders(return_state=True)
    assert len([*storage.glob("*")]) == (1 if persists else 0)
    load_orders(return_state=True)
    assert len([*storage.glob("*")]) == (2 if persists else 1)


def test_the_do_stores_exceptions_without_the_token(do, storage):
    """The two files that are left are exceptions without the token."""
    state = do.load_orders(return_state=True)

    assert state.message.endswith("https://shop.test/orders says 401")
    assert holding_the_token(do, storage) == [False, False]
    stored = do.stored_in(storage)
    assert all(b"PermissionError" in pickled for pickled in stored)


def test_a_retry_of_the_flow_logs_in_again(dont, do, api):
    """When the flow is retried, `log_in` runs again, while in `dont.py` it
    comes from the cache.
    """
    for program, second in ((dont, "Cached"), (do, "Completed")):
        flow = program.load_orders.with_options(retries=1)
        state = flow(return_state=True)
        settles(
            lambda state=state: [
                run[1] for run in task_runs(api, state) if run[0] == "log_in"
            ],
            sorted(["Completed", second]),
        )


@pytest.mark.parametrize(
    ("serializer", "second"),
    [("pickle", "not-a-real-token"), ("json", "**********")],
)
def test_a_secret_str_is_stored_in_clear_or_lost(storage, serializer, second):
    """A `SecretStr` does not help: it is pickled with its value.

    As JSON it is stored as asterisks, and the next run gets these from the
    cache.
    """

    @task(
        result_serializer=serializer,
        cache_policy=INPUTS,
        cache_result_in_memory=False,
    )
    def log_in(shop):
        return SecretStr("not-a-real-token")

    @flow
    def load_orders():
        return log_in("berlin").get_secret_value()

    assert [load_orders(), load_orders()] == ["not-a-real-token", second]
    (file,) = storage.iterdir()
    result = json.loads(file.read_text())["result"]
    if serializer == "pickle":
        assert TOKEN in b64decode(result)
    else:
        assert result == (
            '{"__class__": "pydantic.types.SecretStr", "data": "**********"}'
        )


def test_delay_stores_the_arguments_and_the_api_key(dont, storage):
    """`task.delay()` writes the arguments of the task into the result storage,
    together with the settings of the caller, `PREFECT_API_KEY` among them.
    """
    with temporary_settings({PREFECT_API_KEY: "not-a-real-api-key"}):
        dont.fetch_orders.delay("not-a-real-token")

    (pickled,) = dont.stored_in(storage / "parameters")
    assert TOKEN in pickled
    assert b"not-a-real-api-key" in pickled


@pytest.mark.parametrize(
    ("policy", "runs"), [(INPUTS, 2), (INPUTS - "token", 1)]
)
def test_a_cache_key_is_a_hash_of_the_arguments(storage, policy, runs):
    """A cache key contains a hash of the arguments, not the arguments
    themselves. But a new token makes a new key, so exclude it from the key
    with `INPUTS - "token"`.
    """
    fetched = []

    @task(cache_policy=policy)
    def fetch_orders(shop, token):
        fetched.append(token)
        return len(fetched)

    fetch_orders("berlin", token="not-a-real-token")
    fetch_orders("berlin", token="a-new-token")
    assert len(fetched) == runs
    assert all("token" not in file.name for file in storage.iterdir())
    assert all(TOKEN not in file.read_bytes() for file in storage.iterdir())
