import traceback
from contextlib import contextmanager, nullcontext, suppress
from runpy import run_path
from shutil import copy
from unittest.mock import Mock

import pytest
from prefect.blocks.core import Block, UnknownBlockType
from prefect.blocks.system import Secret
from prefect.variables import Variable

from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/seed_blocks_and_variables"
LABEL = """
from prefect.blocks.core import Block
class ShopLabel(Block):
    text: str
if __name__ == "__main__":
    ShopLabel(text="tea").save("shelf")
"""


@pytest.fixture
def harness(monkeypatch):
    """The server that all tests share, in place of a new one."""
    harness = Mock(side_effect=lambda **_: nullcontext())
    name = "prefect.testing.utilities.prefect_test_harness"
    monkeypatch.setattr(name, harness)
    yield harness
    with suppress(ValueError):
        Secret.delete("till-token")
    Variable.unset("till_discount")


def entered(fixture):
    """The context of a fixture, outside of pytest."""
    return contextmanager(fixture.__wrapped__)()


def test_a_missing_block_stops_the_flow_and_a_missing_variable_does_not(
    harness, dont
):
    """A test harness begins empty, so a flow that loads a block fails, and one
    that reads a Variable goes on without it.

    `Secret.load` asks the server for a block that nobody saved there, and
    raises. `Variable.get` returns `None` or its `default`, so the flow goes on
    with another value than in production.
    """
    with dont.test_server():
        state = dont.sign_in(return_state=True)
        assert state.is_failed()
        assert state.message == (
            "Flow run encountered an exception: ValueError: Unable to find"
            " block document named till-token for block type secret"
        )
        assert Variable.get("till_discount") is None
        assert dont.final_price(100) == 100


def test_what_is_saved_once_is_there_for_all_tests(harness, do):
    """Save what the flows load when the harness has started. Then every test
    finds it.
    """
    assert do.final_price(100) == 100
    with do.test_server():
        harness.assert_called_once_with(server_startup_timeout=120)
        do.test_sign_in()
        do.test_final_price()


def test_the_conftest_saves_for_the_session(harness, do, tmp_path):
    """With pytest, this `conftest.py` does it once for the session.

    All tests share one database, so a Variable that a test changes stays
    changed for the tests after it. A test that asks for the fixture `discount`
    may change it, because the fixture sets it back.
    """
    conftest = run_path(str(ROOM / "suite/conftest.py"))
    with entered(conftest["prefect_server"]):
        harness.assert_called_once_with(server_startup_timeout=120)
        do.test_sign_in()
        do.test_final_price()
        with entered(conftest["discount"]):
            Variable.set("till_discount", 25, overwrite=True)
            assert do.final_price(100) == 75
        do.test_final_price()

    (tmp_path / "test_nothing.py").write_text("def test_nothing(): ...")
    copy(ROOM / "suite/conftest.py", tmp_path)
    plan = python("-m", "pytest", "--setup-plan", cwd=tmp_path).stdout
    assert "SETUP    S prefect_server" in plan
    assert "discount" not in plan


def test_what_is_there_is_not_replaced(harness, do):
    """Do not write `overwrite=True` in `prefect_server`. A new harness has
    nothing to overwrite, and if the fixture ever runs on another server, it
    raises instead of replacing a token that somebody needs.
    """
    Secret(value="somebody-needs-it").save("till-token")
    used = "a name that is already in use for this block type"
    with pytest.raises(ValueError, match=used), do.test_server():
        pass
    assert Secret.load("till-token").get() == "somebody-needs-it"

    Variable.set("till_discount", 5)
    with pytest.raises(ValueError, match="'till_discount' already exists"):
        Variable.set("till_discount", 10)


def test_a_block_needs_its_class(tmp_path, api, monkeypatch):
    """`Block.load("shoplabel/shelf")` finds the class by the first part of the
    name, and only among the classes that this process has imported. If the
    block is there and its class is not, it raises `UnknownBlockType`, and the
    lines above that in the traceback say `No class found for dispatch key`.
    """
    (tmp_path / "shop_label.py").write_text(LABEL)
    saved = python("shop_label.py", cwd=tmp_path)
    assert saved.returncode == 0, saved.stderr
    shelf = api.read_block_document_by_name("shelf", "shoplabel")
    try:
        with pytest.raises(UnknownBlockType) as error:
            Block.load("shoplabel/shelf")
        assert str(error.value) == (
            "No block class found for slug 'shoplabel'. Please ensure that the"
            " block class is available in the current environment."
        )
        printed = "".join(traceback.format_exception(error.value))
        assert "No class found for dispatch key 'shoplabel'" in printed

        monkeypatch.syspath_prepend(tmp_path)
        __import__("shop_label")
        assert Block.load("shoplabel/shelf").text == "tea"
    finally:
        api.delete_block_document(shelf.id)
