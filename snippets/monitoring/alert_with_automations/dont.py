import sys
from contextlib import suppress

import httpx
import pager
from prefect import flow


def page(flow, flow_run, state) -> None:
    httpx.post(pager.url, content=f"{flow.name} is {state.name}")


@flow(on_failure=[page])
def load_night_orders(prices: list[str]) -> float:
    if not prices:
        sys.exit("there are no orders")
    return sum(float(price) for price in prices)


if __name__ == "__main__":
    for prices in ["25 EUR"], []:
        with suppress(ValueError, SystemExit):
            load_night_orders(prices)
        print(f"{prices}: {pager.next_alert(seconds=2)}")
