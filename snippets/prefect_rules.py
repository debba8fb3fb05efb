# /// script
# dependencies = ["ast-grep-cli==0.51.1"]
# ///
"""Find in Python and YAML what the rules advise against.

A finding that is recorded is known; what comes on top of it is reported.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from difflib import get_close_matches
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The rules by their names, each with the folder that has its address.
RULES = {
    file.parent.name.replace("_", "-"): file.parent
    for file in HERE.glob("*/*/enforce.yml")
}
RECORD = ".prefect-rules.json"
# What ast-grep calls the levels of the rules.
SEVERITIES = {
    "essential": "error",
    "recommended": "warning",
    "situational": "info",
}


def repository() -> Path:
    """The root of the repository that we stand in, or where we stand."""
    here = Path.cwd()
    roots = [path for path in (here, *here.parents) if (path / ".git").exists()]
    return roots[0] if roots else here


def ast_grep() -> str:
    """The program, also if its environment is not active."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which("ast-grep", path=places)
    if not found:
        sys.exit("There is no ast-grep here: pip install ast-grep-cli")
    return found


def scan(options: argparse.Namespace, root: Path) -> list[dict]:
    """What ast-grep finds of the rules of a level and of those above it."""
    command = [ast_grep(), "scan", f"--config={HERE / 'sgconfig.yml'}"]
    command += [f"--min-severity={SEVERITIES[options.level]}", "--json=stream"]
    for rule in options.off:
        command += [f"--off={rule}", f"--off={rule}-yaml"]
    paths = [root] if options.record else options.paths
    run = subprocess.run(
        [*command, *paths], capture_output=True, encoding="utf-8"
    )
    if run.returncode and not run.stdout:
        sys.exit(run.stderr)
    findings = [json.loads(line) for line in run.stdout.splitlines()]
    for found in findings:
        file = os.path.relpath(Path(found["file"]).resolve(), root)
        found["file"] = Path(file).as_posix()
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


def new(findings: list[dict], record: Path) -> list[dict]:
    """The findings of files that break a rule more often than is recorded.

    Which of them is the new one, a count cannot say, so all are returned.
    """
    try:
        known = json.loads(record.read_text("utf-8"))
    except json.JSONDecodeError as error:
        sys.exit(f"{record}: {error}. Record again with --record.")
    counts = counted(findings)
    return [
        found
        for found in findings
        if counts[found["file"]][found["ruleId"]]
        > known.get(found["file"], {}).get(found["ruleId"], 0)
    ]


def address(found: dict, site: str) -> str:
    """Where the rule stands that a finding breaks."""
    room = RULES[found["ruleId"].removesuffix("-yaml")]
    path = room.relative_to(HERE).as_posix().replace("_", "-")
    return f"{site.rstrip('/')}/{path}/"


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


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("prefect-rules", description=__doc__)
    option = parser.add_argument
    option("paths", nargs="*", help="files and folders; by default all here")
    option("--level", choices=SEVERITIES, default="essential")
    option("--off", action="append", default=[], metavar="RULE")
    option("--record", action="store_true", help=f"write {RECORD}")
    option("--all", action="store_true", help="report what is recorded too")
    option("--warn", action="store_true", help="report, and end with 0")
    option("--github", action="store_true", help="report as annotations")
    option("--site", default="", help="the address of the rules")
    options = parser.parse_args()
    for rule in options.off:
        if rule not in RULES:
            near = ", ".join(get_close_matches(rule, RULES))
            parser.error(f"{rule}: there is no such rule. Near: {near}")
    for path in options.paths:
        if not Path(path).exists():
            parser.error(f"{path}: there is no such file")
    if options.record and options.paths:
        parser.error("--record records all files: leave the paths out")
    return options


def main() -> int:
    options = read_options()
    root = repository()
    record = root / RECORD
    findings = scan(options, root)
    if options.record:
        counts = json.dumps(counted(findings), indent=1, sort_keys=True)
        record.write_text(f"{counts}\n", "utf-8")
        print(f"{RECORD}: {len(findings)} known findings")
        return 0
    if record.exists() and not options.all:
        findings = new(findings, record)
    for found in findings:
        show = as_annotation if options.github else as_text
        print(show(found, options.site))
    return 1 if findings and not options.warn else 0


if __name__ == "__main__":
    sys.exit(main())
