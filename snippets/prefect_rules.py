# /// script
# dependencies = ["ast-grep-cli==0.51.1"]
# ///
"""Find in Python and YAML what the rules advise against.

What stands in the baseline is known; only what comes on top of it is reported.
"""

import argparse
import json
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


def scan(level: str, arguments: list[str]) -> list[dict]:
    """What ast-grep finds of the rules of a level and of those above it."""
    command = ["ast-grep", "scan", f"--config={HERE / 'sgconfig.yml'}"]
    command += [f"--min-severity={SEVERITIES[level]}", "--json=stream"]
    run = subprocess.run(
        [*command, *arguments], capture_output=True, encoding="utf-8"
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
    room = found["ruleId"].removesuffix("-yaml").replace("-", "_")
    (file,) = HERE.glob(f"*/{room}/enforce.yml")
    path = file.parent.relative_to(HERE).as_posix().replace("_", "-")
    return f"{site}{path}/"


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
    parser = argparse.ArgumentParser(
        "prefect-rules",
        description=__doc__,
        epilog="All other options, such as --off=RULE, and paths go to ast-grep.",
    )
    option = parser.add_argument
    option("--level", choices=SEVERITIES, default="essential")
    option("--record", action="store_true", help=f"write {BASELINE}")
    option("--warn", action="store_true", help="report, and end with 0")
    option("--github", action="store_true", help="report as annotations")
    option("--site", default="", help="the address of the rules")
    options, arguments = parser.parse_known_args()

    findings = scan(options.level, arguments)
    if options.record:
        BASELINE.write_text(json.dumps(counted(findings), indent=1) + "\n")
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
