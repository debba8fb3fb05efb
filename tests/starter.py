"""The starter as a reader has it, with nothing of this suite around it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import yaml

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


def read(name: str) -> dict:
    """Read a file of YAML."""
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def commands_in(text: str) -> list[list[str]]:
    """The words of each command in the shell blocks of a page."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def settings_of_the_package() -> dict[str, set[str]]:
    """The variables that must be set, by the class that reads them.

    The package must be importable.
    """
    from daily_sales import settings

    return {
        name: {
            f"DAILY_SALES_{field.upper()}"
            for field, info in getattr(settings, name).model_fields.items()
            if info.is_required()
        }
        for name in ("Settings", "SetUpSettings")
    }
