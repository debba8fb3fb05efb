"""The starter: its files as a reader gets them, and a place to run it in."""

from __future__ import annotations

import os
from pathlib import Path

from pip._internal.models.index import PyPI

from tests import bundle
from tests.book import BOOK, ROOT
from tests.programs import tool

NAME = "daily-sales"
FOLDER = ROOT / "snippets/starter"
LOCK = "uv.lock"
# What the lock calls the package index here, and in the project of a reader.
HOSTS = {
    "https://packages.example.org/simple": PyPI.simple_url,
    "https://files.example.org/": f"https://{PyPI.file_storage_domain}/",
}


def files() -> dict[str, str]:
    """The files of the starter, with the book's rules for ast-grep."""
    listed = tool("git", "ls-files", "-co", "--exclude-standard", cwd=FOLDER)
    made = {
        path: (FOLDER / path).read_text("utf-8")
        for path in listed.stdout.splitlines()
        if (FOLDER / path).is_file()
    }
    for ours, theirs in HOSTS.items():
        made[LOCK] = made[LOCK].replace(ours, theirs)
    rules = bundle.rule_files(BOOK).items()
    return made | {f"{bundle.RULES}/{path}": text for path, text in rules}


def environment(**variables: str) -> dict[str, str]:
    """The variables of somebody who has uv and nothing of this suite."""
    own = ("PREFECT", "DAILY_SALES", "VIRTUAL_ENV", "PYTEST", "PYTHON", "UV_P")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return kept | variables


def write_to(folder: Path) -> None:
    """Write the files as a reader unpacks them."""
    bundle.write(files(), folder)
