"""Who opens the run on the server reads which gauge was left out."""

import os
import sys

sys.path.insert(0, os.getcwd())
from gauges import publish_levels
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter
from prefect.logging.handlers import APILogHandler

levels = {"Rhine 1": 312.0, "Rhine 2": -9999.0, "Main 1": 187.5}
state = publish_levels(levels, return_state=True)
assert state.result() == 2, state

APILogHandler().flush()
run_ids = [state.state_details.flow_run_id]
with get_client(sync_client=True) as client:
    logs = client.read_logs(LogFilter(flow_run_id={"any_": run_ids}))
said = [log.message for log in logs]
assert "Finished in state Completed()" in said, said
for line in (
    "gauge Rhine 2 left out: -9999.0 cm",
    "2 of 3 gauges published",
):
    assert line in said, f"the run's logs have no {line!r}: {said}"
