from tempfile import mkdtemp

from prefect import task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

shop = {}


@task(cache_policy=INPUTS + TASK_SOURCE)
def fetch_price(item: str) -> float:
    return shop[item]


def test_regular_price():
    shop["tea"] = 4.0
    state = fetch_price("tea", return_state=True)
    assert state.result() == 4.0, f"{state.name} {state.result()}"


def test_sale_price():
    shop["tea"] = 3.0
    state = fetch_price("tea", return_state=True)
    assert state.result() == 3.0, f"{state.name} {state.result()}"


def new_storage():
    return temporary_settings({PREFECT_LOCAL_STORAGE_PATH: mkdtemp()})


if __name__ == "__main__":
    with new_storage():
        for test in (test_regular_price, test_sale_price):
            try:
                test()
                print(f"{test.__name__}: passed")
            except AssertionError as error:
                print(f"{test.__name__}: failed, {error}")
