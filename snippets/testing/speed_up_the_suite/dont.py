import time
from statistics import median

from prefect import flow

ended = []


@flow
def count_orders(orders: list[str]) -> int:
    ended.append(time.monotonic())
    return len(orders)


def test_no_orders():
    assert count_orders([]) == 0


def test_one_order():
    assert count_orders(["tea"]) == 1


def test_two_orders():
    assert count_orders(["tea", "milk"]) == 2


def typical_wait() -> float:
    waits = []
    for test in (test_no_orders, test_one_order, test_two_orders):
        test()
        waits.append(time.monotonic() - ended[-1])
    return median(waits)


if __name__ == "__main__":
    wait = "less" if typical_wait() < 0.5 else "more"
    print(f"After its last line, a flow run takes {wait} than half a second.")
