"""The starter as a zip, which the build makes from the committed files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import mkdocs_gen_files
from pip._internal.models.index import PyPI

SNIPPETS = Path(__file__).parents[1] / "snippets"
STARTER = "daily-sales"
# This repository names no package index, so the lock that a reader gets is
# filled with that of pip.
LOCK = "uv.lock"
HOSTS = {
    "https://packages.example.org/simple": PyPI.simple_url,
    "https://files.example.org/": f"https://{PyPI.file_storage_domain}/",
}


def packed(folder: str, files: Mapping[str, str]) -> bytes:
    """Files in a folder, with the same bytes whenever and wherever made.

    Nothing is packed tight, because versions of zlib differ in that.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{folder}/{path}")
            entry.create_system = 3  # as on Unix, on each system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return made.getvalue()


def starter_files() -> dict[str, str]:
    """The files of the starter, with the rules for ast-grep beside them."""
    room = SNIPPETS / "starter"
    left = {f.rstrip("/") for f in (room / ".gitignore").read_text().split()}
    made = {
        file.relative_to(room).as_posix(): file.read_text("utf-8")
        for file in room.rglob("*")
        if file.is_file() and not left & {*file.relative_to(room).parts}
    }
    for ours, theirs in HOSTS.items():
        made[LOCK] = made[LOCK].replace(ours, theirs)
    rules = [
        *(SNIPPETS / name for name in ("prefect_rules.py", "sgconfig.yml")),
        *SNIPPETS.glob("enforce/*.yml"),
        *SNIPPETS.glob("*/*/enforce.yml"),
    ]
    for file in rules:
        path = f"prefect-rules/{file.relative_to(SNIPPETS).as_posix()}"
        made[path] = file.read_text("utf-8")
    return made


# The plugin gen-files runs this file by its path.
if __name__ == "<run_path>":
    with mkdocs_gen_files.open(f"{STARTER}.zip", "wb") as made:
        made.write(packed(STARTER, starter_files()))
