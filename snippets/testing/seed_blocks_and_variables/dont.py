from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow
from prefect.blocks.system import Secret
from prefect.testing.utilities import prefect_test_harness
from prefect.variables import Variable


@contextmanager
def test_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@flow
def sign_in() -> str:
    return f"token {Secret.load('till-token').get()}"


@flow
def final_price(price: int) -> int:
    return price - Variable.get("till_discount", default=0)


def test_sign_in():
    assert sign_in() == "token not-a-token"


def test_final_price():
    price = final_price(100)
    assert price == 90, f"price is {price}"


if __name__ == "__main__":
    with test_server():
        for test in (test_sign_in, test_final_price):
            try:
                test()
                print(f"{test.__name__}: passed")
            except Exception as error:
                print(f"{test.__name__}: {error}")
