"""The do side of a rule made wrong, one change at a time: does a test notice?

    python -m tests.mutate retry-tasks-not-flows

Without a name it takes all rules. Each change is made in a copy of the
repository, and there the rule's tests and programs run. What nothing notices is
printed, and the command ends with 1. How many changes were noticed goes to
`mutants.json`, and from there to the rule's page.

A change that makes no difference is listed in `mutants.toml`, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import contextlib
import difflib
import fcntl
import itertools
import json
import math
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests import backend, observe, programs, recorded, selection, syntax
from tests.book import BOOK, ROOT, Rule, copied

RESULTS = ROOT / "tests/mutants.json"
DATA = {".yaml", ".yml", ".toml", ".conf", ".sh", ".txt", ".in", ".cfg", ".ini"}
SECRET = re.compile(
    r"""os\.environ(\.get\(.*\)|\[.*\]) | os\.getenv\(.*\)
    | .*\.get_secret_value\(\) | Variable\.get\(.*\)
    | \w+\.load\(.*\)(\.get\(\))?
    """,
    re.VERBOSE,
)
JOBS = 4


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        file: The file, below the repository.
        line: Where the change is.
        change: What it is.
        text: The whole file with it.
    """

    file: Path
    line: int
    change: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"

    @property
    def known_as(self) -> str:
        """What `mutants.toml` calls it: the line may move."""
        return f"{self.file}: {self.change}"


def mutants_of(rule: Rule) -> list[Mutant]:
    """List all changes of a rule's do side, each only once."""
    found: dict[tuple[Path, str], Mutant] = {}
    for file in rule.files:
        if file.stem == "dont" or file.suffix not in {".py", *DATA}:
            continue
        text = file.read_text("utf-8")
        changes = _taken_back(file, text)
        if file.suffix == ".py":
            changes = itertools.chain(changes, _python(text))
        else:
            changes = itertools.chain(changes, _left_out(text, file.suffix))
        name = file.relative_to(rule.book.root)
        for line, change, new in changes:
            if new != text and (file.suffix != ".py" or _is_python(new)):
                found.setdefault((name, new), Mutant(name, line, change, new))
    return list(found.values())


def _is_python(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _taken_back(file: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Take back each group of lines in which do differs from don't."""
    dont = file.with_stem("dont")
    if file.stem != "do" or not dont.exists():
        return
    old, new = dont.read_text("utf-8").splitlines(), text.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        more = all(re.match("(from|import) |$", line) for line in old[a:b])
        if kind != "equal" and not (kind == "delete" and more):
            lines = [*new[:c], *old[a:b], *new[d:]]
            said = " / ".join(line.strip() for line in new[c:d]) or "nothing"
            yield c + 1, f"as in don't: {said}", "\n".join(lines) + "\n"


def _left_out(text: str, suffix: str) -> Iterator[tuple[int, str, str]]:
    """Leave out each line, in YAML with what is below its key."""
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        end = at + 1
        if suffix in (".yaml", ".yml"):
            depth = len(line) - len(line.lstrip())
            while end < len(lines) and (
                not lines[end].strip()
                or len(lines[end]) - len(lines[end].lstrip()) > depth
            ):
                end += 1
        changed = "".join([*lines[:at], *lines[end:]])
        yield at + 1, f"left out: {line.strip()}", changed


def _python(text: str) -> Iterator[tuple[int, str, str]]:
    """Change each argument, number, boolean, compared string and secret."""
    source = text.encode()
    starts = [0, *itertools.accumulate(map(len, source.splitlines(True)))]

    def span(node: ast.expr | ast.keyword) -> tuple[int, int]:
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def put(node: ast.expr, new: str) -> str:
        start, end = span(node)
        return (source[:start] + new.encode() + source[end:]).decode()

    tree = ast.parse(text)
    foreign = _foreign_names(tree)
    matters = set(_strings_that_matter(tree, foreign))
    for node in ast.walk(tree):
        said = ast.unparse(node) if isinstance(node, ast.expr) else ""
        match node:
            case ast.Constant(value=bool() as value):
                yield (
                    node.lineno,
                    f"{value} is {not value}",
                    put(node, str(not value)),
                )
            case ast.Constant(value=int() | float() as value):
                yield (
                    node.lineno,
                    f"{said} is {value + 1}",
                    put(node, f"{value + 1}"),
                )
            case ast.Constant(value=str() as value) if node in matters:
                new = repr(f"{value}x")
                yield node.lineno, f"{said} is {new}", put(node, new)
            case ast.Call() if _may_be_prefects(node, foreign):
                for keyword in filter(lambda k: k.arg, node.keywords):
                    start, end = span(keyword)
                    rest = source[end:].lstrip()
                    after = (
                        rest[1:].lstrip() if rest[:1] == b"," else source[end:]
                    )
                    changed = (source[:start] + after).decode()
                    yield (
                        keyword.lineno,
                        f"left out: {ast.unparse(keyword)}",
                        changed,
                    )
        if SECRET.fullmatch(said):
            yield node.lineno, f"typed in: {said}", put(node, "'typed in'")


def _strings_that_matter(
    tree: ast.Module, foreign: set[str]
) -> Iterator[ast.Constant]:
    """The strings that are compared, or that are in arguments to Prefect."""
    for node in ast.walk(tree):
        inside: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            inside = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _may_be_prefects(node, foreign):
            inside = [keyword.value for keyword in node.keywords]
        for part in inside:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant):
                    yield inner


def _foreign_names(tree: ast.Module) -> set[str]:
    """The names in a program that are Python's, or another package's."""
    return set(dir(builtins)) | {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if not (getattr(node, "module", None) or alias.name).startswith(
            "prefect"
        )
    }


def _may_be_prefects(call: ast.Call, foreign: set[str]) -> bool:
    """Whether a call goes to Prefect, and not to one of the foreign names."""
    root: ast.expr = call
    while not isinstance(root, ast.Name):
        match root:
            case ast.Call(func=inner) | ast.Attribute(value=inner):
                root = inner
            case ast.Await(value=inner) | ast.Subscript(value=inner):
                root = inner
            case _:
                return True
    return root.id not in foreign


class Room:
    """A copy of the repository and a server, for one change at a time."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.url = folder, url
        self.book = copied(folder / "book")

    def failure(self, rule: Rule, seconds: float) -> str:
        """What the rule's tests and programs say here if they fail, or ""."""
        test = rule.test.relative_to(ROOT)
        # A fork would have read the settings before pytest has set them.
        command = [sys.executable, "-m", "pytest"]
        command += ["tests/test_examples.py", test]
        # Outside of the book: the suites that tests run read no settings of it.
        command += [f"--basetemp={self.folder / 'temporary'}"]
        command += ["-k", rule.room.name, f"--api-url={self.url}", "-x", "-q"]
        # What noticed the last change is the first that may notice this one.
        command += ["-p", "no:randomly", "--failed-first"]
        # With it a program need not flush, so that would go unnoticed.
        env = os.environ | {"PYTHONUNBUFFERED": ""}
        try:
            run = programs.tool(
                *command, cwd=self.book, env=env, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            self.end_processes()
            return f"They did not end in {seconds:.0f} seconds."
        finally:
            observe.clear(self.url)
        said = run.stdout + run.stderr
        if run.returncode > 2:  # 2: the test's file could not be imported
            raise RuntimeError(
                f"{rule.slug}: pytest ended with {run.returncode}:\n{said}"
            )
        return f"They failed:\n{said}" if run.returncode else ""

    def end_processes(self) -> None:
        """End what a run that hangs has started."""
        for link in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if self.folder in link.readlink().parents:
                    os.kill(int(link.parent.name), signal.SIGKILL)

    def notices(self, mutant: Mutant, rule: Rule, seconds: float) -> bool:
        file = self.book / mutant.file
        text = file.read_text("utf-8")
        file.write_text(mutant.text, "utf-8")
        try:
            return bool(self.failure(rule, seconds))
        finally:
            file.write_text(text, "utf-8")


def alike(root: Path) -> dict[str, str]:
    """The changes that make no difference, with the reason of each."""
    listed = (root / "tests/mutants.toml").read_text("utf-8")
    return {
        f"{mutant['file']}: {mutant['change']}": mutant["reason"]
        for mutant in tomllib.loads(listed)["mutant"]
    }


def that_matter(rule: Rule) -> list[Mutant]:
    """List the changes of a rule's do side that a test has to notice."""
    listed = alike(rule.book.root)
    return [m for m in mutants_of(rule) if m.known_as not in listed]


def prove(rule: Rule, rooms: queue.Queue[Room], limit: float) -> bool:
    """Make a rule's changes in a room that is free.

    Args:
        rule: The rule.
        rooms: Where changes can be made.
        limit: Seconds after which no further change is made. Then there is no
            result to keep.

    Returns:
        Whether each change that was made was noticed.

    Raises:
        RuntimeError: If the rule's tests fail without a change.
    """
    wrong, of = that_matter(rule), syntax.fingerprint(rule)
    room = rooms.get()
    try:
        begin = time.monotonic()
        if said := room.failure(rule, 600):
            raise RuntimeError(f"{rule.slug}: its own tests fail. {said}")
        seconds = 3 * (time.monotonic() - begin) + 30
        made, noticed = 0, 0
        while made < len(wrong) and time.monotonic() - begin < limit:
            if room.notices(wrong[made], rule, seconds):
                noticed += 1
            else:
                print(f"nothing notices {wrong[made]}", flush=True)
            made += 1
        if said := room.failure(rule, 600):
            raise RuntimeError(
                f"{rule.slug}: a change left something behind. {said}"
            )
    finally:
        rooms.put(room)
    print(f"{rule.slug}: {noticed} of {made} changes were noticed", flush=True)
    if made == len(wrong):
        keep(rule.slug, noticed, of)
    else:
        print(
            f"{len(wrong) - made} more were not made in {limit:.0f} seconds."
            f" `make mutate NAME={rule.slug}` makes them all."
        )
    return noticed == made


def keep(slug: str, noticed: int, of: str) -> None:
    """Write a result into the file, where others may write at this moment."""
    with RESULTS.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        results = json.load(file)
        results[slug] = {"noticed": noticed, "of": of}
        file.seek(0)
        file.truncate()
        json.dump(results, file, indent=1, sort_keys=True)
        file.write("\n")


def problems(rule: Rule) -> Iterator[str]:
    """Check that the changes of a rule as it is now were made, and noticed."""
    known = {mutant.known_as for mutant in mutants_of(rule)}
    for name in alike(rule.book.root):
        if rule.room in (rule.book.root / name).parents and name not in known:
            yield f"tests/mutants.toml: {name}: no such change. Take it out."
    result = recorded.mutants(rule.book).get(rule.slug)
    again = f"Run `make mutate NAME={rule.slug}`"
    if not recorded.is_current(result, rule):
        yield f"tests/mutants.json: no result of {rule.slug} as it is. {again}."
    elif result["noticed"] != len(that_matter(rule)):
        yield (
            f"tests/mutants.json: not every change of {rule.slug} was noticed."
            f" {again} to see which; assert what they break, or say in"
            " tests/mutants.toml why they make no difference."
        )


def main(names: list[str], limit: float) -> bool:
    """Make the changes of these rules, or of all, and say what is unseen."""
    rules = selection.called(names, BOOK) if names else BOOK.rules
    if limit < math.inf:
        rules = [rule for rule in rules if [*problems(rule)]]
    rooms: queue.Queue[Room] = queue.Queue()
    with contextlib.ExitStack() as stack:
        for _ in range(min(JOBS, len(rules))):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = stack.enter_context(
                backend.shared_server(folder / "server", backend.free_port())
            )
            rooms.put(Room(folder / "room", url))
        pool = ThreadPoolExecutor(JOBS)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        ends = [pool.submit(prove, rule, rooms, limit) for rule in rules]
        for end in as_completed(ends):
            if end.exception():
                print(end.exception(), flush=True)
    return all(not end.exception() and end.result() for end in ends)


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("slug", nargs="*")
    command.add_argument("--list", action="store_true", help="only list them")
    command.add_argument(
        "--limit",
        type=float,
        default=math.inf,
        help="seconds for a rule; one with a result is passed over",
    )
    said = command.parse_args()
    # A run that is ended takes its servers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if said.list:
        for rule in selection.called(said.slug, BOOK):
            print(*that_matter(rule), sep="\n")
    else:
        sys.exit(not main(said.slug, said.limit))
