import subprocess
import sys
from pathlib import Path

from prefect import flow

# -u: the program sends each line at once.
EXPORT = [
    *(sys.executable, "-u"),
    str(Path(__file__).with_name("export_loans.py")),
]


@flow(log_prints=True)
def list_loans() -> None:
    line = ""
    with subprocess.Popen(
        EXPORT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as export:
        try:
            for line in export.stdout:
                print(line.rstrip())
        except BaseException:  # the run was cancelled, or its time is up
            export.kill()
            raise
    if export.returncode:
        raise RuntimeError(f"exit code {export.returncode}: {line.rstrip()}")


if __name__ == "__main__":
    state = list_loans(return_state=True)
    print(state.message)
