"""What the site costs its readers, and what its proof costs us.

Run by `make bench`. Nothing here passes or fails. The scores are Lighthouse's,
for a slow phone; they need npx, and the download of Lighthouse. To compare with
other built sites: `make bench PEERS="starlight/dist:guide/ docusaurus/build:"`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests import backend
from tests.book import ROOT, Book
from tests.site import web

LIGHTHOUSE_RUNS = 5


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


def scores(url: str, browser: str) -> str:
    """Score a page with Lighthouse: the median of five runs on a slow phone.

    Args:
        url: The page.
        browser: Path of Chromium.

    Returns:
        Performance, accessibility, best practices and SEO, of 100 each.
    """
    runs = []
    for _ in range(LIGHTHOUSE_RUNS):
        report = subprocess.run(
            [
                *("npx", "--yes", "lighthouse@12", url),
                *("--quiet", "--output=json", "--form-factor=mobile"),
                "--chrome-flags=--headless=new --no-sandbox --disable-quic",
            ],
            env=os.environ | {"CHROME_PATH": browser},
            capture_output=True,
            text=True,
        )
        if report.returncode != 0:
            return f"no scores: {report.stderr.strip().splitlines()[-1:]}"
        runs.append(json.loads(report.stdout)["categories"])
    return "  ".join(
        f"{name} {statistics.median(run[name]['score'] for run in runs):.0%}"
        for name in ("performance", "accessibility", "best-practices", "seo")
    )


def weigh_and_score(pages: dict[str, str]) -> None:
    """Print requests, bytes and scores of pages.

    Args:
        pages: Their addresses, by the names to print.
    """
    with web.chromium() as browser:
        for name, url in pages.items():
            requests, size = web.weigh(browser, url)
            print(f"{name:12} {requests:3} requests  {size / 1000:6.1f} KB")
    if shutil.which("npx"):
        for name, url in pages.items():
            print(f"{name:12} {scores(url, web.executable())}")


def main(peers: list[str]) -> None:
    """Measure.

    Args:
        peers: Built sites to compare with, each as `FOLDER:PAGE`.
    """
    os.environ.update(backend.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        seconds, mib = measure(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder],
            cwd=ROOT,
        )
        print(f"strict build      {seconds:6.1f} s  {mib:6.0f} MiB")
        with ExitStack() as servers:
            own = servers.enter_context(web.served(Path(folder)))
            pages = {kind: own + path for kind, path in web.KINDS.items()}
            for peer in peers:
                root, _, path = peer.partition(":")
                other = servers.enter_context(web.served(Path(root)))
                pages[Path(root).parent.name] = other + path
            weigh_and_score(pages)
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
    main(sys.argv[1:])
