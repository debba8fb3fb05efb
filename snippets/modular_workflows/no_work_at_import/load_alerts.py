from pathlib import Path

from prefect.exceptions import ScriptError
from prefect.flows import load_flow_from_entrypoint

ENTRYPOINT = f"{Path(__file__).with_name('alerts.py')}:alert_readers"

if __name__ == "__main__":
    flow = load_flow_from_entrypoint(ENTRYPOINT)
    print(f"As `prefect deploy` loads it: {flow.name}")

    try:
        load_flow_from_entrypoint(ENTRYPOINT, use_placeholder_flow=False)
    except ScriptError as error:
        print(f"As a run loads it: {error.user_exc!r}")
