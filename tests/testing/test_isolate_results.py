import os
from shutil import copy

import pytest
from prefect import flow
from prefect.cache_policies import DEFAULT, NO_CACHE, RUN_ID, CacheKeyFnPolicy
from prefect.client.orchestration import get_client
from prefect.filesystems import LocalFileSystem
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_TASKS_REFRESH_CACHE,
    Settings,
    temporary_settings,
)

from tests.backend import patient
from tests.book import ROOT
from tests.programs import python

ROOM = ROOT / "snippets/testing/isolate_results"


def price_of(module, item: str) -> tuple[float, str]:
    state = module.fetch_price(item, return_state=True)
    return state.result(), state.name


def test_two_tests_that_share_a_storage_share_their_results(dont, caplog):
    """These are the same in both tests, so the second test gets the price of
    the first.
    """
    with dont.new_storage():
        dont.test_regular_price()
        with pytest.raises(AssertionError, match=r"Cached 4\.0"):
            dont.test_sale_price()
    assert "Finished in state Cached(type=COMPLETED)" in caplog.text


def test_a_suite_that_sets_nothing_uses_one_folder():
    """A suite that sets nothing uses the folder `storage` in your
    `PREFECT_HOME`.
    """
    assert "PREFECT_LOCAL_STORAGE_PATH" not in os.environ
    settings = Settings()
    assert settings.results.local_storage_path == settings.home / "storage"


def test_the_result_is_a_file_with_the_name_of_the_key(dont):
    """A persisted result is a file in the storage, and the cache key is its
    name. Prefect looks for that file, not for a task run in the database, to
    decide whether it must run the task.
    """
    dont.fetch_price.cache_policy = CacheKeyFnPolicy(
        cache_key_fn=lambda run, arguments: f"price-of-{arguments['item']}"
    )
    dont.shop["tea"] = 4.0
    assert price_of(dont, "tea") == (4.0, "Completed")
    [file] = PREFECT_LOCAL_STORAGE_PATH.value().iterdir()
    assert file.name == "price-of-tea"

    dont.shop["tea"] = 3.0
    assert price_of(dont, "tea") == (4.0, "Cached")
    file.unlink()
    assert price_of(dont, "tea") == (3.0, "Completed")


def test_results_pass_into_a_harness_and_out_of_it_again(dont):
    """Prefect's test harness gives you a new database but not a new result
    storage, so a test can get a result that another test stored.

    `prefect_test_harness` has a database and an API of its own, but it leaves
    the storage as it is. So even the first task run in a new harness can be
    `Cached`.

    A new harness for each test would not separate their results.

    What a test stored stays when the harness is gone, and the next real run on
    your machine can get a price that a test made up.
    """
    from prefect.testing.utilities import prefect_test_harness

    dont.shop.update({"tea": 4.0, "milk": 1.0})
    assert price_of(dont, "tea") == (4.0, "Completed")

    storage, address = (
        PREFECT_LOCAL_STORAGE_PATH.value(),
        PREFECT_API_URL.value(),
    )
    with prefect_test_harness(int(patient(120))):
        assert PREFECT_LOCAL_STORAGE_PATH.value() == storage
        assert PREFECT_API_URL.value() != address
        with get_client(sync_client=True) as api:
            assert api.read_task_runs(limit=1) == []
        dont.shop.update({"tea": 3.0, "milk": 0.5})
        assert price_of(dont, "tea") == (4.0, "Cached")
        assert price_of(dont, "milk") == (0.5, "Completed")

    dont.shop.update({"milk": 1.0})
    assert price_of(dont, "milk") == (0.5, "Cached")


def test_a_storage_of_its_own_gives_each_test_its_own_price(do):
    """Give each test its own storage."""
    with do.new_storage():
        do.test_regular_price()
    with do.new_storage():
        do.test_sale_price()


def test_the_fixture_in_conftest_isolates_the_tests_of_a_suite(tmp_path):
    """One fixture in `conftest.py` does it for every test in its folder and
    below.
    """
    copy(ROOM / "conftest.py", tmp_path)
    (tmp_path / "flows").mkdir()
    copy(ROOM / "dont.py", tmp_path / "flows")
    shared = {"PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "shared")}
    suite = python("-m", "pytest", "flows/dont.py", cwd=tmp_path, **shared)
    assert "2 passed" in suite.stdout, suite.stdout + suite.stderr


def test_a_refreshed_cache_is_still_written(do):
    """With it each task runs, whatever is stored, but it still writes its
    result, and a later real run can get that.
    """
    with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
        do.test_regular_price()
        do.test_sale_price()
    do.shop["tea"] = 4.0
    assert price_of(do, "tea") == (3.0, "Cached")


def test_the_setting_does_not_move_a_storage_that_the_task_names(
    do, tmp_path, monkeypatch
):
    """`PREFECT_LOCAL_STORAGE_PATH` moves only the default storage. A task that
    names its own `result_storage` keeps it, so give the test a copy of the task
    with `with_options(result_storage=...)`.
    """

    def use(storage):
        task = do.fetch_price.with_options(result_storage=tmp_path / storage)
        monkeypatch.setattr(do, "fetch_price", task)

    use("bucket")
    with do.new_storage():
        do.test_regular_price()
    with do.new_storage(), pytest.raises(AssertionError, match="Cached"):
        do.test_sale_price()
    use("another")
    do.test_sale_price()


def test_a_default_block_is_stronger_than_the_path(do, tmp_path):
    """If your settings name a `PREFECT_DEFAULT_RESULT_STORAGE_BLOCK`, the path
    moves nothing. Then also set that setting to `None` in the fixture.
    """
    bucket = LocalFileSystem(basepath=str(tmp_path))
    bucket.save("isolate-results")
    name = "local-file-system/isolate-results"
    try:
        with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: name}):
            with do.new_storage():
                do.test_regular_price()
            with (
                do.new_storage(),
                pytest.raises(AssertionError, match="Cached"),
            ):
                do.test_sale_price()
            no_block = {PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: None}
            with do.new_storage(), temporary_settings(no_block):
                do.test_sale_price()
    finally:
        LocalFileSystem.delete(name.split("/")[1])


@pytest.mark.parametrize("policy", [DEFAULT, NO_CACHE])
def test_these_tasks_do_not_leak(policy, do, monkeypatch):
    """A task that stores nothing cannot leak, nor can one whose key holds the
    id of the flow run, as the default key does: see Key your cache.
    """
    assert RUN_ID in DEFAULT.policies
    task = do.fetch_price.with_options(cache_policy=policy)
    monkeypatch.setattr(do, "fetch_price", task)
    flow(do.test_regular_price)()
    flow(do.test_sale_price)()
