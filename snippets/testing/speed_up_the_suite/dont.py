import time
from collections.abc import Callable
from statistics import median

from prefect import flow


@flow
def count_orders(orders: list[str]) -> int:
    return len(orders)


def test_no_orders():
    assert count_orders([]) == 0


def test_one_order():
    assert count_orders(["tea"]) == 1


def test_two_orders():
    assert count_orders(["tea", "milk"]) == 2


def seconds(test: Callable[[], None]) -> float:
    begin = time.monotonic()
    test()
    return time.monotonic() - begin


def typical_test() -> float:
    tests = (test_no_orders, test_one_order, test_two_orders)
    return median(seconds(test) for test in tests)


if __name__ == "__main__":
    duration = "less" if typical_test() < 1 else "more"
    print(f"A typical test takes {duration} than a second.")
