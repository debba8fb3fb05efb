# /// script
# dependencies = ["ast-grep-cli==0.51.1"]
# ///
"""Find in Python and YAML what the rules advise against.

What stands in the baseline is known; only what comes on top of it is reported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
BASELINE = Path(".prefect-rules.json")
# What ast-grep calls the levels of the rules.
SEVERITIES = {
    "essential": "error",
    "recommended": "warning",
    "situational": "info",
}


def ast_grep() -> str:
    """The program, also if its environment is not active."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which("ast-grep", path=places)
    if not found:
        sys.exit("There is no ast-grep here: pip install ast-grep-cli")
    return found


def scan(level: str, off: list[str], paths: list[str]) -> list[dict]:
    """What ast-grep finds of the rules of a level and of those above it."""
    command = [ast_grep(), "scan", f"--config={HERE / 'sgconfig.yml'}"]
    command += [f"--min-severity={SEVERITIES[level]}", "--json=stream"]
    command += [f"--off={rule}{kind}" for rule in off for kind in ("", "-yaml")]
    run = subprocess.run(
        [*command, *paths], capture_output=True, encoding="utf-8"
    )
    if run.returncode and not run.stdout:
        sys.exit(run.stderr)
    findings = [json.loads(line) for line in run.stdout.splitlines()]
    return sorted(
        findings,
        key=lambda found: (found["file"], found["range"]["start"]["line"]),
    )


def counted(findings: list[dict]) -> dict[str, dict[str, int]]:
    """How often each file breaks each rule."""
    counts: dict[str, Counter[str]] = {}
    for found in findings:
        counts.setdefault(found["file"], Counter())[found["ruleId"]] += 1
    return counts


def new(findings: list[dict], known: dict[str, dict[str, int]]) -> list[dict]:
    """The findings of files that break a rule more often than is known.

    Which of them is the new one, a count cannot say, so all are returned.
    """
    counts = counted(findings)
    return [
        found
        for found in findings
        if counts[found["file"]][found["ruleId"]]
        > known.get(found["file"], {}).get(found["ruleId"], 0)
    ]


def address(found: dict, site: str) -> str:
    """Where the rule stands that a finding breaks."""
    (room,) = rooms(found["ruleId"].removesuffix("-yaml"))
    return f"{site}{room.relative_to(HERE).as_posix().replace('_', '-')}/"


def rooms(rule: str) -> list[Path]:
    """The folder of a rule, if there is such a rule."""
    files = HERE.glob(f"*/{rule.replace('-', '_')}/enforce.yml")
    return [file.parent for file in files]


def as_text(found: dict, site: str) -> str:
    start = found["range"]["start"]
    return (
        f"{found['file']}:{start['line'] + 1}:{start['column'] + 1}:"
        f" {found['ruleId']}: {found['message']}\n    {address(found, site)}"
    )


def as_annotation(found: dict, site: str) -> str:
    """A finding as GitHub shows it beside the line of a pull request."""
    kind = "notice" if found["severity"] == "info" else found["severity"]
    return (
        f"::{kind} file={found['file']},"
        f"line={found['range']['start']['line'] + 1},title={found['ruleId']}::"
        f"{found['message']} {address(found, site)}"
    )


def main() -> int:
    parser = argparse.ArgumentParser("prefect-rules", description=__doc__)
    option = parser.add_argument
    option("paths", nargs="*", help="files and folders; by default all here")
    option("--level", choices=SEVERITIES, default="essential")
    option("--off", action="append", default=[], metavar="RULE")
    option("--record", action="store_true", help=f"write {BASELINE}")
    option("--warn", action="store_true", help="report, and end with 0")
    option("--github", action="store_true", help="report as annotations")
    option("--site", default="", help="the address of the rules")
    options = parser.parse_args()
    for rule in options.off:
        if not rooms(rule):
            parser.error(f"{rule}: there is no such rule in {HERE}")
    for path in options.paths:
        if not Path(path).exists():
            parser.error(f"{path}: there is no such file")

    findings = scan(options.level, options.off, options.paths)
    if options.record:
        known = json.dumps(counted(findings), indent=1, sort_keys=True)
        BASELINE.write_text(known + "\n")
        print(f"{BASELINE}: {len(findings)} known findings")
        return 0
    if BASELINE.exists():
        findings = new(findings, json.loads(BASELINE.read_text()))
    for found in findings:
        show = as_annotation if options.github else as_text
        print(show(found, options.site))
    return 1 if findings and not options.warn else 0


if __name__ == "__main__":
    sys.exit(main())
