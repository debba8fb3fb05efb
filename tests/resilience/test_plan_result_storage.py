import json
import shutil
import sqlite3
import sys
from datetime import date
from importlib import import_module
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.exceptions import MissingResult
from prefect.filesystems import LocalFileSystem
from prefect.settings import (
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)

from tests.programs import run_program

DAY = "2026-03-01"
MISSING = (
    "State data is missing. Typically, this occurs when result persistence"
    " is disabled and the state has been retrieved from the API."
)


def on_the_server(api, state):
    return api.read_flow_run(state.state_details.flow_run_id).state


def test_the_server_has_the_state_but_not_the_result(dont, api):
    """The server stores states, not results, so a result that you need later
    must have a place that its readers can reach.

    By default a result stays in the memory of the process that ran the flow.
    The state that goes to the server has no result in it.
    """
    state = dont.count_orders(DAY, return_state=True)

    assert state.result() == 3
    assert on_the_server(api, state).data is None
    with pytest.raises(MissingResult) as error:
        on_the_server(api, state).result()
    assert str(error.value) == MISSING


def test_a_persisted_result_is_read_from_the_path_of_the_machine_that_wrote_it(
    do, api, tmp_path
):
    """Now the result is a file, and the state on the server holds the path of
    the file.

    On another machine the path leads nowhere: reading raises a `ValueError`
    that says that the path does not exist.

    `pickle` is the default.
    """
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "one"}):
        state = do.count_orders(DAY, return_state=True)
    stored = on_the_server(api, state)
    path = Path(stored.data.storage_key)
    assert [path] == [*(tmp_path / "one").iterdir()]
    assert stored.result() == 3
    assert stored.data.serializer.type == "pickle"

    shutil.rmtree(tmp_path / "one")
    with pytest.raises(ValueError, match=f"Path {path} does not exist"):
        on_the_server(api, state).result()


def test_the_file_is_in_the_home_of_the_machine_that_ran_the_flow(do, tmp_path):
    """The file is in `PREFECT_LOCAL_STORAGE_PATH` of the machine that ran the
    flow, by default the folder `storage` in its `PREFECT_HOME`.
    """
    run_program(Path(do.__file__), tmp_path)
    assert len([*(tmp_path / "prefect" / "storage").iterdir()]) == 1


@flow
def path_of_a_task_result():
    state = task(lambda: 7)(return_state=True)
    return Path(state.data.metadata.storage_key)


def test_the_setting_persists_without_a_change_of_the_code(dont, api):
    """`PREFECT_RESULTS_PERSIST_BY_DEFAULT=true` does the same for all flows and
    tasks.
    """
    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: True}):
        state = dont.count_orders(DAY, return_state=True)
        of_a_task = path_of_a_task_result()

    assert on_the_server(api, state).result() == 3
    assert of_a_task.is_file()
    assert not path_of_a_task_result().is_file()


def test_a_storage_block_is_found_through_the_server(do, api, tmp_path):
    """With a block, the state holds the id of the block, so a reader needs no
    setting, only access to the server and to the storage.
    """
    block = LocalFileSystem(basepath=str(tmp_path / "shared"))
    block_id = block.save("plan-result-storage", overwrite=True)
    name = "local-file-system/plan-result-storage"
    try:
        with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
            state = do.count_orders(DAY, return_state=True)
        stored = on_the_server(api, state)

        assert len(list((tmp_path / "shared").iterdir())) == 1
        assert stored.data.storage_block_id == block_id
        assert stored.result() == 3
    finally:
        LocalFileSystem.delete("plan-result-storage")


def test_two_machines_with_one_storage_do_the_work_once(do, tmp_path):
    """The server stores states, not results, so a result that you need later
    must have a place that its readers can reach.

    And a task that is done on one machine is done again on the next.
    """
    two_machines = import_module("two_machines")
    two_machines.fetched.clear()
    for machine in ("one", "other", "one"):
        two_machines.run_on_machine_with(tmp_path / machine, DAY)

    assert len(two_machines.fetched) == 2


def read_back(api, value, serializer, before_reading=lambda: None):
    @flow(persist_result=True, result_serializer=serializer)
    def give():
        return value

    state = give(return_state=True)
    before_reading()
    try:
        found = on_the_server(api, state).result()
    except Exception as error:
        return f"`{type(error).__name__}`"
    return "the same" if found == value else f"`{found!r}`"


def test_each_serializer_gives_back_what_it_can(
    api, table, tmp_path, monkeypatch, caplog
):
    """A pickle needs your classes when it is read."""
    module = tmp_path / "orders.py"
    module.write_text(
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Order:\n    price: int\n"
    )
    (tmp_path / "sold.py").write_text(module.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    order = import_module("orders").Order(20)
    sold = import_module("sold").Order(20)

    def forget():
        monkeypatch.delitem(sys.modules, "sold", raising=False)
        (tmp_path / "sold.py").unlink(missing_ok=True)

    values = {
        '`{"day": date(2026, 3, 1)}`': ({"day": date(2026, 3, 1)},),
        "`(1, 2)`": ((1, 2),),
        "`{1: 20}`": ({1: 20},),
        "`Order(20)`, a dataclass": (order,),
        "`Order(20)`, if its module has gone": (sold, forget),
        "a database connection": (sqlite3.connect(":memory:"),),
    }
    rows = [
        [
            words,
            *(read_back(api, v, s, *then) for s in ("pickle", "json")),
        ]
        for words, (v, *then) in values.items()
    ]
    table("serializers.md", ["The flow returns", "`pickle`", "`json`"], rows)
    assert (
        "Execution will continue, but the result has not been persisted"
        in caplog.text
    )


def test_plain_json_needs_no_classes(api, tmp_path):
    """JSON of dicts, lists, text and numbers needs none, so choose it for what
    must live longer than a deployment.
    """
    value = {"day": DAY, "prices": [20, 1.5]}
    assert read_back(api, value, "json") == "the same"

    (file,) = (tmp_path / "storage").iterdir()
    assert json.loads(file.read_text()) == value


def test_a_stored_result_outlives_its_flow_run(do, api, tmp_path):
    """A stored result stays where it is, even if you delete its flow run."""
    state = do.count_orders(DAY, return_state=True)
    api.delete_flow_run(state.state_details.flow_run_id)

    assert len([*(tmp_path / "storage").iterdir()]) == 1
