"""What Lighthouse says of our pages, beside other generators as they come.

Run by `make bench`. It passes and fails nothing, and needs npx. With
`make bench PEERS="starlight vitepress material"` the folders of peers/ are
built too, each with copies of some of our pages.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests import backend
from tests.book import ROOT
from tests.programs import tool
from tests.site import web

LIGHTHOUSE_RUNS = 5
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
AUDITS = (
    "total-blocking-time",
    "largest-contentful-paint",
    "total-byte-weight",
)
PEERS = Path(__file__).with_name("peers")
COPIED = {"home": "", "rule": "rule/", "list": "list/"}  # what peers show


def build_peer(name: str, own: Path, folder: Path) -> Path:
    """Build another generator's default site of Markdown copies of our pages.

    Args:
        name: A folder of peers/.
        own: Our built site, which holds the copies.
        folder: Where to do it.

    Returns:
        The folder of the built site.
    """
    shutil.copytree(PEERS / name, folder)
    for kind, path in COPIED.items():
        copy = (own / web.KINDS[kind] / "index.md").read_text("utf-8")
        page = folder / "docs" / path / "index.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"---\ntitle: {kind}\n---\n\n{copy}", "utf-8")
    commands = [[sys.executable, "-m", "mkdocs", "build"]]
    if (folder / "package.json").exists():
        commands = [["npm", "install"], ["npm", "run", "build"]]
    for command in commands:
        tool(*command, cwd=folder).check_returncode()
    return folder / "site"


def score(pages: dict[str, str]) -> None:
    """Print what Lighthouse says of pages, by their names: medians.

    The pages take turns, so that a busy minute of this machine falls on all.
    """
    seen: dict[str, list[list[float]]] = {name: [] for name in pages}
    for name, url in [*pages.items()] * LIGHTHOUSE_RUNS:
        run = tool(
            *("npx", "--yes", "lighthouse@12", url, "--quiet"),
            *("--output=json", "--form-factor=mobile"),
            "--chrome-flags=--headless=new --no-sandbox --disable-quic",
            env=os.environ | {"CHROME_PATH": web.executable() or ""},
        )
        if run.returncode:
            print(f"{name}: no scores: {run.stderr.strip().splitlines()[-1:]}")
            continue
        report = json.loads(run.stdout)
        seen[name].append(
            [
                *(report["categories"][k]["score"] * 100 for k in CATEGORIES),
                *(report["audits"][k]["numericValue"] for k in AUDITS),
                len(report["audits"]["network-requests"]["details"]["items"]),
            ]
        )
    for name, runs in seen.items():
        if runs:
            *scores, blocked, paint, weight, requests = [
                statistics.median(column) for column in zip(*runs, strict=True)
            ]
            print(
                f"{name:16}",
                *(f"{score:3.0f}" for score in scores),
                f"{blocked:4.0f} ms blocked",
                f"{paint / 1000:.2f} s largest paint",
                f"{requests:2.0f} requests",
                f"{weight / 1000:6.1f} KB",
                sep="  ",
            )


def main(peers: list[str]) -> None:
    """Measure our pages, and those of peers."""
    os.environ.update(backend.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        own = Path(folder, "own")
        start = time.monotonic()
        web.build(ROOT, own, publish="true").check_returncode()
        print(f"strict build: {time.monotonic() - start:.1f} s")
        address = servers.enter_context(web.served(own))
        pages = {kind: address + path for kind, path in web.KINDS.items()}
        for peer in peers:
            built = build_peer(peer, own, Path(folder, peer))
            address = servers.enter_context(web.served(built))
            pages |= {f"{peer} {k}": address + p for k, p in COPIED.items()}
        print(*CATEGORIES, sep=", ")
        score(pages)


if __name__ == "__main__":
    main(sys.argv[1:])
