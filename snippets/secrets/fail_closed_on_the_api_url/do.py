import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ORDERS = str(Path(__file__).with_name("orders.py"))
CLOSED = {"PREFECT_SERVER_EPHEMERAL_ENABLED": "false"}


def on_a_new_machine(*command: str, **environment: str) -> list[str]:
    """Run Python where nothing is set but these variables."""
    with TemporaryDirectory() as home:
        run = subprocess.run(
            [sys.executable, *command],
            cwd=home,
            env={"PREFECT_HOME": home, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return run.stdout.splitlines()


if __name__ == "__main__":
    settings = on_a_new_machine("-m", "prefect", "config", "view", **CLOSED)
    for line in settings:
        if not line.startswith("PREFECT_HOME"):
            print(line)
    print(on_a_new_machine(ORDERS, **CLOSED)[-1])
