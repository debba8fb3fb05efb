"""A price is made once, and once more when its code has changed."""

import runpy
import time
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

NET = {"lamp": 4000, "book-7": 1500}


def run() -> tuple[dict[str, int], list[str]]:
    """Make the list: the prices, and how each task run ended."""
    price_list = runpy.run_path("prices.py")["price_list"]
    state = price_list(NET, return_state=True)
    this_run = FlowRunFilter(id={"any_": [state.state_details.flow_run_id]})
    deadline = time.monotonic() + 30
    ended = []
    with get_client(sync_client=True) as client:
        while len(ended) < len(NET) and time.monotonic() < deadline:
            time.sleep(0.1)
            found = client.read_task_runs(flow_run_filter=this_run)
            ended = [r.state_name for r in found if r.state.is_final()]
    return state.result(), ended


for expected in ("Completed", "Cached"):
    prices, ended = run()
    assert prices == {"lamp": 4880, "book-7": 1635}, prices
    assert ended == [expected] * 2, ended

file = Path("prices.py")
file.write_text(file.read_text().replace("else 22", "else 24"))
prices, _ = run()
assert prices["lamp"] == 4960, f"with 24 % tax a lamp costs {prices['lamp']}"
