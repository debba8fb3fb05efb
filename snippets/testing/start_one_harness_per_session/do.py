from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness():
        yield


@flow
def total(orders: list[int]) -> int:
    return sum(orders)


def test_no_orders():
    assert total([]) == 0


def test_one_order():
    assert total([30]) == 30


def test_two_orders():
    assert total([30, 70]) == 100


if __name__ == "__main__":
    with redirect_stdout(StringIO()) as plan:
        pytest.main(["--setup-plan", __file__])
    print("Tests: ", plan.getvalue().count("fixtures used"))
    print("Starts:", plan.getvalue().count("SETUP"))
