"""What readers take away as a zip; the build makes that of the starter."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import mkdocs_gen_files
from pip._internal.models.index import PyPI

SNIPPETS = Path(__file__).parents[1] / "snippets"
STARTER = "daily-sales"
# The folder of a reader's repository that the rules for ast-grep come in.
RULES = "prefect-rules"
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


def rule_files(snippets: Path) -> dict[str, str]:
    """The rules for ast-grep and what runs them, as a package has them."""
    files = [
        snippets / "prefect_rules.py",
        snippets / "sgconfig.yml",
        *snippets.glob("enforce/*.yml"),
        *snippets.glob("*/*/enforce.yml"),
    ]
    return {
        file.relative_to(snippets).as_posix(): file.read_text("utf-8")
        for file in files
    }


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
    rules = rule_files(SNIPPETS).items()
    return made | {f"{RULES}/{path}": text for path, text in rules}


# The plugin gen-files runs this file by its path.
if __name__ == "<run_path>":
    with mkdocs_gen_files.open(f"{STARTER}.zip", "wb") as made:
        made.write(packed(STARTER, starter_files()))
