"""The promise of the set-up, as checks like those of tests/contract.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from packaging.requirements import Requirement

# What lets a command fail and the run go on, or ends a script before its end.
HIDING = re.compile(
    r"\|\| *(true\b|:)|; *(true|:) *$|\bset \+e|\bexit\b(?! [1-9])"
    r"|^\t@?-|^\.IGNORE|\bcontinue-on-error:"
)
# What each job of the workflow may do; "" is the workflow itself.
PERMISSIONS = {
    "": {},
    "prove": {"contents": "read"},
    "newest-prefect": {"contents": "read"},
    "mutate": {"contents": "read"},
    "zensical": {"contents": "read"},
    "links": {"contents": "read"},
    "report": {"issues": "write"},
    "publish": {"contents": "read", "pages": "write", "id-token": "write"},
}
# Keys of GitHub, GitLab, AWS, Google, Slack, Stripe and Prefect, and of SSH.
KEY = re.compile(
    r"\bgh[pousr]_\w{36}|\bgithub_pat_\w{22}|\bglpat-[\w-]{20}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{35}|\bxox[a-z]-[\w-]{10}"
    r"|hooks\.slack\.com/services/T|\b[rs]k_live_\w{16}|\bpn[ub]_[^\W_]{20}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
WORKFLOW = ".github/workflows/site.yml"
# The lines by which all is proven, and before it is published.
NEEDED = {
    "Makefile": ["PYTEST := $(BIN)/pytest -n 4", "\t$(PYTEST)"],
    ".ci/run": ["set -euo pipefail", "make test"],
    WORKFLOW: ["      - run: .ci/run", "    needs: prove"],
}


def problems(root: Path) -> Iterator[str]:
    """Check what proves and publishes the site."""
    yield from failure_problems(root)
    yield from lock_problems(root)
    yield from workflow_problems(root)
    yield from command_problems(root)


def failure_problems(root: Path) -> Iterator[str]:
    """Check that what proves the site ends when a command of it fails."""
    for name in ("Makefile", ".ci/run", WORKFLOW):
        lines = (root / name).read_text("utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if HIDING.search(line):
                yield (
                    f"{name}:{number}: {line.strip()!r} hides a failure. Let"
                    " the run end where a command fails."
                )
        for line in set(NEEDED[name]) - set(lines):
            yield (
                f"{name}: the line {line.strip()!r} is gone, so not everything"
                " is proven. Write it again."
            )


def direct_dependencies(root: Path) -> dict[Requirement, str]:
    """List the lines of requirements.in, each with its reason."""
    lines = (root / "requirements.in").read_text("utf-8").splitlines()
    split = [re.split(r"\s+#\s+", line, maxsplit=1) for line in lines]
    return {
        Requirement(parts[0]): " ".join(parts[1:])
        for parts in split
        if parts[0] and not parts[0].startswith("#")
    }


def lock_problems(root: Path) -> Iterator[str]:
    """Check that each locked package has hashes, and a reason to be there."""
    askers: dict[str, set[str]] = {}
    for name in ("requirements.txt", "requirements-read.txt"):
        text = (root / name).read_text("utf-8")
        for entry in re.split(r"\n(?=\S)", text.strip()):
            package = re.match(r"[\w.-]*", entry)[0]
            if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry):
                yield f"{name}: {package} has no hash. Run `make lock`."
            if name == "requirements.txt":
                said = re.findall(r"^ +# +(?:via +)?([\w. -]+)", entry, re.M)
                askers.setdefault(package, set()).update(said)
    reached = {asked.name for asked in direct_dependencies(root)}
    while more := {p for p in askers.keys() - reached if askers[p] & reached}:
        reached |= more
    for package in sorted(askers.keys() - reached):
        yield (
            f"requirements.txt: {package}: requirements.in does not lead to it."
            " Say there why we need it, and run `make lock`."
        )


def workflow_problems(root: Path) -> Iterator[str]:
    """Check that there is one workflow, and what its jobs may do."""
    for file in sorted((root / WORKFLOW).parent.iterdir()):
        name = file.relative_to(root).as_posix()
        if name != WORKFLOW:
            yield f"{name}: a second workflow. Make it a job of {WORKFLOW}."
    workflow = yaml.safe_load((root / WORKFLOW).read_text("utf-8"))
    granted = {
        name: job.get("permissions")
        for name, job in [("", workflow), *workflow["jobs"].items()]
    }
    for job in {**PERMISSIONS, **granted}:
        if granted.get(job) != PERMISSIONS.get(job):
            yield (
                f"{WORKFLOW}: {job or 'the workflow'}: has the permissions"
                f" {granted.get(job)}. If they must change, write them down in"
                " tests/set_up.py too."
            )


def command_problems(root: Path) -> Iterator[str]:
    """Check that the `make` commands that readers are told exist."""
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.M))
    for file in [root / "README.md", *(root / "docs/about").glob("*.md")]:
        text = file.read_text("utf-8")
        blocks = "".join(
            re.findall(r"^```console\n(.+?)^```", text, re.M | re.S)
        )
        spans = re.findall(r"`([^`\n]+)`", text)
        for line in [*blocks.splitlines(), *spans]:
            told = re.match(r"(?:\w+=\S+ )*make ([\w-]+)", line)
            if told and told[1] not in targets:
                yield (
                    f"{file.relative_to(root).as_posix()}: {line!r}: Makefile"
                    " has no such target."
                )


def key_problems(root: Path) -> Iterator[str]:
    """Check that nothing that we publish looks like a key that works."""
    for folder in ("docs", "snippets", "overrides", "tests"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix == ".pyc" or not file.is_file():
                continue
            found = KEY.search(file.read_bytes().decode("utf-8", "ignore"))
            if found:
                yield (
                    f"{file.relative_to(root).as_posix()}: {found[0][:12]}..."
                    " looks like a key. Take it away, and revoke it."
                )
