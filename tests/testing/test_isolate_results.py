from shutil import copy

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import TaskRunSort

from tests.backend import patient
from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/isolate_results"


def price_of(module, item: str) -> tuple[float, str]:
    state = module.fetch_price(item, return_state=True)
    return state.result(), state.name


def test_two_tests_that_share_a_storage_share_their_results(dont, caplog):
    with dont.new_storage():
        dont.test_regular_price()
        with pytest.raises(AssertionError, match=r"Cached 4\.0"):
            dont.test_sale_price()
    assert "Finished in state Cached(type=COMPLETED)" in caplog.text


def test_results_pass_into_a_harness_and_out_of_it_again(dont):
    from prefect.testing.utilities import prefect_test_harness

    dont.shop.update({"tea": 4.0, "milk": 1.0})
    assert price_of(dont, "tea") == (4.0, "Completed")

    with prefect_test_harness(int(patient(120))):
        with get_client(sync_client=True) as api:
            assert api.read_task_runs(sort=TaskRunSort.ID_DESC, limit=1) == []
        dont.shop.update({"tea": 3.0, "milk": 0.5})
        assert price_of(dont, "tea") == (4.0, "Cached")
        assert price_of(dont, "milk") == (0.5, "Completed")

    dont.shop.update({"milk": 1.0})
    assert price_of(dont, "milk") == (0.5, "Cached")


def test_a_storage_of_its_own_gives_each_test_its_own_price(do):
    with do.new_storage():
        do.test_regular_price()
    with do.new_storage():
        do.test_sale_price()


def test_the_fixture_in_conftest_isolates_the_tests_of_a_suite(tmp_path):
    for file in ("conftest.py", "dont.py"):
        copy(ROOM / file, tmp_path)
    shared = {"PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "shared")}
    suite = python("-m", "pytest", "dont.py", cwd=tmp_path, **shared)
    assert "2 passed" in suite.stdout, suite.stdout + suite.stderr


def test_the_setting_does_not_move_a_storage_that_the_task_names(
    do, tmp_path, monkeypatch
):
    bucket = do.fetch_price.with_options(result_storage=tmp_path / "bucket")
    monkeypatch.setattr(do, "fetch_price", bucket)

    with do.new_storage():
        do.test_regular_price()
    with do.new_storage(), pytest.raises(AssertionError, match="Cached"):
        do.test_sale_price()
