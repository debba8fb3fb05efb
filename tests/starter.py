"""The starter as a reader has it, with nothing of this suite around it."""

from __future__ import annotations

import os
from pathlib import Path

from overrides import zips
from tests import bundle
from tests.book import ROOT

FOLDER = ROOT / "snippets/starter"
# What a reader's shell does not have, by the beginnings of the names.
OURS = ("PREFECT", "DAILY_SALES", "VIRTUAL_ENV", "PYTEST", "PYTHON", "UV_P")


def write_to(folder: Path) -> None:
    """Write the files as a reader unpacks them."""
    bundle.write(zips.starter_files(), folder)


def environment(**variables: str) -> dict[str, str]:
    """The variables of somebody who has uv and git."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return kept | variables
