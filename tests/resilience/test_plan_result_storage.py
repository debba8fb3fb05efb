import shutil
import sqlite3
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from pickle import UnpicklingError

import pytest
from prefect import flow
from prefect.exceptions import MissingResult
from prefect.filesystems import LocalFileSystem
from prefect.settings import (
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

DAY = "2026-03-01"


@dataclass
class Order:
    price: int


def read_back(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).state.result()


def test_the_server_has_the_state_but_not_the_result(dont, api):
    state = dont.count_orders(DAY, return_state=True)

    assert state.result() == 3
    with pytest.raises(MissingResult) as error:
        read_back(api, state)
    assert str(error.value) == (
        "State data is missing. Typically, this occurs when result persistence"
        " is disabled and the state has been retrieved from the API."
    )


def test_a_persisted_result_is_read_from_the_path_of_the_machine_that_wrote_it(
    do, api, tmp_path
):
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "one"}):
        state = do.count_orders(DAY, return_state=True)
    assert read_back(api, state) == 3

    shutil.rmtree(tmp_path / "one")
    with pytest.raises(ValueError, match=r"/one/.* does not exist"):
        read_back(api, state)


def test_the_setting_persists_without_a_change_of_the_code(dont, api):
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        state = dont.count_orders(DAY, return_state=True)

    assert read_back(api, state) == 3


def test_a_storage_block_is_found_through_the_server(do, api, tmp_path):
    block = LocalFileSystem(basepath=str(tmp_path / "shared"))
    block.save("plan-result-storage", overwrite=True)
    name = "local-file-system/plan-result-storage"
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
        state = do.count_orders(DAY, return_state=True)

    assert len(list((tmp_path / "shared").iterdir())) == 1
    assert read_back(api, state) == 3


def test_two_machines_with_one_storage_do_the_work_once(do, tmp_path):
    two_machines = import_module("two_machines")
    two_machines.fetched.clear()
    for machine in ("one", "other", "one"):
        two_machines.run_on_machine_with(tmp_path / machine, DAY)

    assert len(two_machines.fetched) == 2


@pytest.mark.parametrize(
    ("value", "from_pickle", "from_json"),
    [
        ({"day": date(2026, 3, 1)},) * 3,
        ((1, 2), (1, 2), [1, 2]),
        (Order(20), Order(20), {"price": 20}),
    ],
)
def test_json_changes_some_types(api, value, from_pickle, from_json):
    for serializer, expected in (("pickle", from_pickle), ("json", from_json)):

        @flow(persist_result=True, result_serializer=serializer)
        def give():
            return value

        assert read_back(api, give(return_state=True)) == expected


def test_json_cannot_read_a_bare_date(api):
    @flow(persist_result=True, result_serializer="json")
    def give():
        return date(2026, 3, 1)

    with pytest.raises(UnpicklingError, match="invalid load key"):
        read_back(api, give(return_state=True))


def test_what_cannot_be_serialized_is_not_stored(api, caplog):
    @flow(persist_result=True)
    def connect():
        return sqlite3.connect(":memory:")

    state = connect(return_state=True)

    assert state.is_completed()
    assert (
        "Execution will continue, but the result has not been persisted"
        in caplog.text
    )
    with pytest.raises(ValueError, match="does not exist"):
        read_back(api, state)
