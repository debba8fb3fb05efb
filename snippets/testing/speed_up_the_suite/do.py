import time
from statistics import median

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY as HEARTBEAT
from prefect.settings import temporary_settings

ended = []


@flow
def total(orders: list[int]) -> int:
    ended.append(time.monotonic())
    return sum(orders)


def test_no_orders():
    assert total([]) == 0


def test_one_order():
    assert total([30]) == 30


def test_two_orders():
    assert total([30, 70]) == 100


def typical_wait() -> float:
    waits = []
    with temporary_settings({HEARTBEAT: None}):
        for test in (test_no_orders, test_one_order, test_two_orders):
            test()
            waits.append(time.monotonic() - ended[-1])
    return median(waits)


if __name__ == "__main__":
    wait = round(typical_wait())
    print(f"After its last line, a flow run takes about {wait} s.")
