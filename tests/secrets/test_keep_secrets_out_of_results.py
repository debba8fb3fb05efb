import json
from base64 import b64decode

import pytest
from prefect import flow, task
from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from pydantic import SecretStr

TOKEN = b"not-a-real-token"


@pytest.fixture
def storage(tmp_path):
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results"}):
        yield tmp_path / "results"


def holding_the_token(program, storage):
    return [TOKEN in pickled for pickled in program.stored_in(storage)]


def test_a_persisted_flow_stores_the_token_of_its_task(dont, storage):
    dont.load_orders(return_state=True)
    assert holding_the_token(dont, storage) == [True, True, True]


def test_the_exception_of_a_flow_is_stored_without_being_asked(dont, storage):
    flow(dont.load_orders.fn)(return_state=True)

    (pickled,) = dont.stored_in(storage)
    assert b"HTTPStatusError" in pickled
    assert b"Bearer not-a-real-token" in pickled


def test_the_do_stores_exceptions_without_the_token(do, storage):
    do.load_orders(return_state=True)

    assert holding_the_token(do, storage) == [False, False]


@pytest.mark.parametrize(
    ("serializer", "second"),
    [("pickle", "not-a-real-token"), ("json", "**********")],
)
def test_a_secret_str_is_stored_in_clear_or_lost(storage, serializer, second):
    @task(result_serializer=serializer, cache_result_in_memory=False)
    def log_in():
        return SecretStr("not-a-real-token")

    @flow
    def load_orders():
        return [log_in().get_secret_value() for _ in range(2)]

    assert load_orders() == ["not-a-real-token", second]
    (file,) = storage.iterdir()
    result = json.loads(file.read_text())["result"]
    if serializer == "pickle":
        assert TOKEN in b64decode(result)
    else:
        assert result == (
            '{"__class__": "pydantic.types.SecretStr", "data": "**********"}'
        )


def test_delay_stores_the_arguments_and_the_api_key(dont, storage):
    with temporary_settings({PREFECT_API_KEY: "not-a-real-api-key"}):
        dont.fetch_orders.delay("not-a-real-token")

    (pickled,) = dont.stored_in(storage / "parameters")
    assert TOKEN in pickled
    assert b"not-a-real-api-key" in pickled
