"""However often the script is started, each night is loaded once."""

import os
import sys
from collections import Counter
from datetime import date

sys.path.insert(0, os.getcwd())
from bookings import load_night
from load_again import load_again
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter

deployment = load_night.to_deployment("night").apply()
these = DeploymentFilter(id={"any_": [deployment]})
with get_client(sync_client=True) as client:
    try:
        load_again(date(2026, 5, 1), date(2026, 5, 2))  # the VPN breaks here
        load_again(date(2026, 5, 1), date(2026, 5, 4))
        runs = client.read_flow_runs(deployment_filter=these)
        for run in runs:  # or the next start finds them by their keys
            client.delete_flow_run(run.id)
    finally:
        client.delete_deployment(deployment)
loads = Counter(run.parameters["night"] for run in runs)
assert loads == {f"2026-05-0{day}": 1 for day in (1, 2, 3, 4)}, (
    f"runs of each night: {dict(sorted(loads.items()))}"
)
