"""What the site costs its readers, and what its proof costs us.

Run by `make bench`. Nothing here passes or fails. The scores are Lighthouse's,
for a slow phone; they need npx, and the download of Lighthouse. To compare with
other generators as they come, `make bench PEERS="starlight vitepress material"`
builds a site of each.
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
from typing import NamedTuple

from tests import backend
from tests.book import ROOT, Book
from tests.site import web

LIGHTHOUSE_RUNS = 5
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
TIMES = ("total-blocking-time", "largest-contentful-paint")
COPIED = ("home", "rule", "list")  # of web.KINDS, what the peers show


class Peer(NamedTuple):
    """How to build another generator's default site in an empty folder."""

    commands: list[list[str]]
    files: dict[str, str]
    docs: str
    built: str


PEERS = {
    "starlight": Peer(
        # The newest that runs on Node 20.
        [
            ["npm", "install", "astro@5", "@astrojs/starlight@0.36"],
            ["npx", "astro", "build"],
        ],
        {
            "package.json": '{"type": "module"}',
            "astro.config.mjs": (
                "import { defineConfig } from 'astro/config'\n"
                "import starlight from '@astrojs/starlight'\n"
                "export default defineConfig({\n"
                "  integrations: [starlight({ title: 'Peer' })],\n"
                "})\n"
            ),
            "src/content.config.ts": (
                "import { defineCollection } from 'astro:content'\n"
                "import { docsLoader } from '@astrojs/starlight/loaders'\n"
                "import { docsSchema } from '@astrojs/starlight/schema'\n"
                "const docs = { loader: docsLoader(), schema: docsSchema() }\n"
                "export const collections = { docs: defineCollection(docs) }\n"
            ),
        },
        "src/content/docs",
        "dist",
    ),
    "vitepress": Peer(
        [["npm", "install", "vitepress@1"], ["npx", "vitepress", "build"]],
        {
            "package.json": '{"type": "module"}',
            ".vitepress/config.mjs": "export default { ignoreDeadLinks: true }",
        },
        ".",
        ".vitepress/dist",
    ),
    "material": Peer(
        [[sys.executable, "-m", "mkdocs", "build"]],
        {
            "mkdocs.yml": (
                "site_name: Peer\n"
                "theme: material\n"
                "markdown_extensions: [pymdownx.superfences]\n"
            )
        },
        "docs",
        "site",
    ),
}


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


def score(pages: dict[str, str]) -> None:
    """Print what Lighthouse says of pages on a slow phone: medians.

    The pages take turns, so that a busy minute of this machine falls on all.

    Args:
        pages: Their addresses, by the names to print.
    """
    seen: dict[str, list[list[float]]] = {name: [] for name in pages}
    for name, url in [*pages.items()] * LIGHTHOUSE_RUNS:
        run = subprocess.run(
            [
                *("npx", "--yes", "lighthouse@12", url),
                *("--quiet", "--output=json", "--form-factor=mobile"),
                "--chrome-flags=--headless=new --no-sandbox --disable-quic",
            ],
            env=os.environ | {"CHROME_PATH": web.executable() or ""},
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            print(f"{name}: no scores: {run.stderr.strip().splitlines()[-1:]}")
            continue
        report = json.loads(run.stdout)
        seen[name].append(
            [report["categories"][kind]["score"] * 100 for kind in CATEGORIES]
            + [report["audits"][kind]["numericValue"] for kind in TIMES]
        )
    for name, runs in seen.items():
        if not runs:
            continue
        *scores, blocked, paint = [
            statistics.median(column) for column in zip(*runs, strict=True)
        ]
        print(
            f"{name:20}",
            *(f"{n:3.0f} {k}" for k, n in zip(CATEGORIES, scores, strict=True)),
            f"{blocked:4.0f} ms blocked  {paint / 1000:.2f} s largest paint",
            sep="  ",
        )


def build_peer(name: str, copies: dict[str, str], folder: Path) -> Path:
    """Build another generator's default site from Markdown copies of ours.

    Args:
        name: One of PEERS.
        copies: The texts, by file name.
        folder: Where to do it, an empty one.

    Returns:
        The folder of the built site.
    """
    peer = PEERS[name]
    files = peer.files | {f"{peer.docs}/{k}": v for k, v in copies.items()}
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    for command in peer.commands:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / peer.built


def weigh_and_score(sites: dict[str, Path], own: Path) -> None:
    """Print requests, bytes and scores of our kinds of pages and of peers'.

    Args:
        sites: Folders of peers' built sites, by the peers' names.
        own: The folder of ours.
    """
    with ExitStack() as servers:
        address = servers.enter_context(web.served(own))
        pages = {kind: address + path for kind, path in web.KINDS.items()}
        for peer, built in sites.items():
            address = servers.enter_context(web.served(built))
            for kind in COPIED:
                # VitePress alone builds no folder for a page.
                page = "" if kind == "home" else f"{kind}/"
                flat = not (built / page).is_dir()
                pages[f"{peer} {kind}"] = address + (
                    f"{kind}.html" if flat else page
                )
        with web.chromium() as browser:
            for name, url in pages.items():
                view, visit = web.weigh(browser, url)
                print(
                    f"{name:20} {len(view):3} requests"
                    f"  {sum(view.values()) / 1000:6.1f} KB, with the first act"
                    f" {sum(visit.values()) / 1000:6.1f} KB"
                )
        if shutil.which("npx"):
            score(pages)


def main(peers: list[str]) -> None:
    """Measure.

    Args:
        peers: Names of PEERS, to compare with.
    """
    os.environ.update(backend.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "own")
        seconds, mib = measure(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", own],
            cwd=ROOT,
        )
        print(f"strict build      {seconds:6.1f} s  {mib:6.0f} MiB")
        copies = {
            f"{'index' if kind == 'home' else kind}.md": (
                f"---\ntitle: {kind}\n---\n\n"
                + (own / web.KINDS[kind] / "index.md").read_text()
            )
            for kind in COPIED
        }
        sites = {
            peer: build_peer(peer, copies, Path(folder, peer)) for peer in peers
        }
        weigh_and_score(sites, own)
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
