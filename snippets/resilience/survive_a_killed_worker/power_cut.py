import os
import subprocess
import sys
from pathlib import Path


def run_and_kill(program: str, storage: str, at: str) -> None:
    """Run the report of a program in a new process, and `kill -9` it."""
    file = Path(program)
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", f"import {file.stem} as it; it.report()"],
        cwd=file.parent,
        env=os.environ | {"PREFECT_LOCAL_STORAGE_PATH": storage},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        print(line, end="")
        if line.strip() == at:
            process.kill()
    print(f"Killed, exit code {process.wait()}")
