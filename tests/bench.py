"""How long a strict build and the programs take, and how much memory.

Run by `make bench`. Nothing here passes or fails.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import backend
from tests.book import ROOT, Book


def measure(command: list[str], **popen: object) -> tuple[float, float]:
    """Run a command to its end.

    Returns:
        Seconds it took, and MiB of memory that its largest process held.
    """
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **popen
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command} failed: run it by hand to see why")
    return seconds, usage.ru_maxrss / 1024  # Linux counts in KiB


def main() -> None:
    os.environ.update(backend.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        seconds, mib = measure(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
            cwd=ROOT,
        )
        print(f"strict build      {seconds:6.1f} s  {mib:6.0f} MiB")
    with (
        tempfile.TemporaryDirectory() as folder,
        backend.prefect_server(Path(folder) / "server") as url,
    ):
        os.environ["PREFECT_API_URL"] = url
        home = Path(folder)
        runs = {
            program: measure(
                [sys.executable, str(program)],
                cwd=home,
                env=os.environ | {"PREFECT_HOME": str(home / program.stem)},
            )
            for rule in Book(ROOT).rules
            for program in rule.programs
        }
    for program, (seconds, mib) in sorted(
        runs.items(), key=lambda run: -run[1][0]
    ):
        name = program.relative_to(ROOT / "snippets")
        print(f"{seconds:6.1f} s  {mib:6.0f} MiB  {name}")
    times = [seconds for seconds, _ in runs.values()]
    print(
        f"{len(times)} programs: {sum(times):.1f} s,"
        f" median {statistics.median(times):.1f} s each,"
        f" at most {max(mib for _, mib in runs.values()):.0f} MiB"
    )


if __name__ == "__main__":
    main()
