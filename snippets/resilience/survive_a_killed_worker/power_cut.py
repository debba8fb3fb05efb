import os
import subprocess
import sys


def run_and_kill(program: str, storage: str, at: str) -> None:
    """Run a program in a process of its own, and `kill -9` it."""
    process = subprocess.Popen(
        [sys.executable, program, "run"],
        env=os.environ | {"PREFECT_LOCAL_STORAGE_PATH": storage},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        print(line, end="")
        if line.strip() == at:
            process.kill()
    print(f"Killed, exit code {process.wait()}")
