from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness():
        yield


@flow
def count_orders(orders: list[str]) -> int:
    return len(orders)


def test_no_orders():
    assert count_orders([]) == 0


def test_one_order():
    assert count_orders(["tea"]) == 1


def test_two_orders():
    assert count_orders(["tea", "milk"]) == 2


if __name__ == "__main__":
    with redirect_stdout(StringIO()) as plan:
        pytest.main(["--setup-plan", __file__])
    print("Tests: ", plan.getvalue().count("fixtures used"))
    print("Starts:", plan.getvalue().count("SETUP"))
