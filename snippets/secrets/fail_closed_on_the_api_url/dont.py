import subprocess
import sys
from tempfile import TemporaryDirectory


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
    settings = on_a_new_machine("-m", "prefect", "config", "view")
    for line in settings:
        if not line.startswith("PREFECT_HOME"):
            print(line)
