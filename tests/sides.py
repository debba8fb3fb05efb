"""The two sides of a rule: how they differ, and how a reader runs them."""

from __future__ import annotations

import ast
import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

from tests import syntax
from tests.book import SITE, Rule

SIGNS = {"dont": "✗", "do": "✓"}
# A look of more changed lines leaves out those that only start the example.
MANY = 10
GAP = " …"
# A program on a page, its output, and the line that runs it.
SHOWN = re.compile(
    r"^``` ?(?:\{ \.)?(?P<language>\w+)"
    r" title=\"(?:[✗✓] )?(?P<title>[^\"\n]+)\".*\n"
    r"(?P<include>--8<-- \"(?P<path>snippets/[^\":\n]+)\"\n```\n)"
    r"(?P<output>\n```text title=\"Output\"\n.*\n```\n)?"
    r"(?P<run>\n``` \{ \.text \.run .*\n.*\n```\n)?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Pair:
    """A file of the don't side, and the one of the do side in its place."""

    dont: Path
    do: Path

    @property
    def is_output(self) -> bool:
        return self.do.suffix in (".out", ".txt")

    @property
    def title(self) -> str:
        if self.is_output:
            return "What they print"
        return f"From {signed(self.dont.name)} to {signed(self.do.name)}"

    @cached_property
    def rows(self) -> list[tuple[int | None, int | None, str]]:
        """Both, line by line: the number in each that has it, and the text."""
        old, new = (f.read_text("utf-8").splitlines() for f in self.files)
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        rows: list[tuple[int | None, int | None, str]] = []
        for kind, i1, i2, j1, j2 in matcher.get_opcodes():
            if kind == "equal":
                rows += [
                    (i + 1, i + 1 + j1 - i1, old[i]) for i in range(i1, i2)
                ]
            else:
                rows += [(i + 1, None, old[i]) for i in range(i1, i2)]
                rows += [(None, j + 1, new[j]) for j in range(j1, j2)]
        return rows

    @property
    def files(self) -> tuple[Path, Path]:
        return self.dont, self.do

    @cached_property
    def own(self) -> tuple[set[int], set[int]]:
        """The numbers of the lines that only one of them has."""
        return (
            {i for i, j, _ in self.rows if i and not j},
            {j for i, j, _ in self.rows if j and not i},
        )

    def diff(self) -> str:
        """What a reader must change: a diff without its head and imports.

        A line that begins with `-` is one of the don't side alone, one with `+`
        of the do side. The others say where these stand.
        """
        shown = self._without(self.own, ast.Import | ast.ImportFrom)
        if sum(map(len, shown)) > MANY:
            inner = self._without(shown, ast.If)
            if [*map(bool, inner)] == [*map(bool, shown)]:
                shown = inner
        heads = [*map(_heads, self.files, shown)]
        lines: list[str] = []
        between: list[str] = []
        for i, j, text in self.rows:
            common = bool(i and j)
            if i in shown[0] or j in shown[1]:
                sign = "+" if j in shown[1] else "-"
            elif common and (i in heads[0] or j in heads[1]):
                sign = " "
            else:
                between.append(
                    f" {text}".rstrip() if common or not text else GAP
                )
                continue
            lines += _shortened(between) * bool(lines) + [sign + text]
            between = []
        return "\n".join(lines)

    def _without(
        self, lines: tuple[set[int], set[int]], kind: type
    ) -> tuple[set[int], set[int]]:
        """Take out blank lines, and those of a kind of statement."""
        old, new = (
            numbers - _lines_of(file, kind)
            for file, numbers in zip(self.files, lines, strict=True)
        )
        return old, new


def pairs(rule: Rule) -> Iterator[Pair]:
    """The files of the two sides, those that are written before outputs."""
    files = {file.name: file for file in rule.files}
    found = [
        Pair(file, files[name.replace("dont", "do")])
        for name, file in files.items()
        if file.stem == "dont" and name.replace("dont", "do") in files
    ]
    return sorted(found, key=lambda pair: pair.is_output)


def differences(rule: Rule) -> list[tuple[str, str]]:
    """The titles and diffs that show a rule in one look."""
    if found := [(pair.title, pair.diff()) for pair in pairs(rule)]:
        return found
    files = {file.stem: file for file in rule.files}
    pair = Pair(*(files[side] for side in SIGNS))
    return [(pair.title, "\n".join(_commands_that_differ(pair)))]


def look(rule: Rule) -> str:
    """The differences of the two sides, as blocks."""
    return "\n\n".join(
        f'``` {{ .diff .look title="{title}" data-search-exclude="" }}\n'
        f"{diff}\n```"
        for title, diff in differences(rule)
    )


def _commands_that_differ(pair: Pair) -> Iterator[str]:
    """What a script and a workflow run, for sides that are not of one kind."""
    script, workflow = (f.read_text("utf-8") for f in pair.files)
    typed = [s for s in script.splitlines() if not s.startswith("#")]
    run = re.findall(r"^ +- run: (.+)$", workflow, re.MULTILINE)
    for line in difflib.ndiff(typed, [*dict.fromkeys(run)]):
        if not line.startswith("?"):
            yield line[0] + line[2:]


def with_sides(rule: Rule, source: str) -> str:
    """Return a rule page's source with what is recorded of its programs.

    That is the sign of the side, the numbers of the lines that are its own, and
    the line that runs it.
    """
    own = {
        file: lines
        for pair in pairs(rule)
        for file, lines in zip(pair.files, pair.own, strict=True)
    }

    def made(block: re.Match[str]) -> str:
        file = rule.book.root / block["path"]
        head = f'{block["language"]} title="{signed(block["title"])}"'
        if own.get(file):
            head += f' hl_lines="{_ranges(own[file])}"'
        rest = f"\n{block['include']}{block['output'] or ''}"
        if file not in rule.programs:
            return f"```{head}{rest}"
        # Readers search for what they see, and that is what programs print.
        shown = f'``` {{ .{head} data-search-exclude="" }}{rest}'
        return (
            f'{shown}\n``` {{ .text .run title="Run it"'
            f' data-search-exclude="" }}\n{run_line(rule, file)}\n```\n'
        )

    return SHOWN.sub(made, source)


def run_line(rule: Rule, program: Path) -> str:
    """What runs a program of the site on a reader's machine."""
    folder = program.parent.relative_to(rule.book.root / "snippets").as_posix()
    files = syntax.needed(rule, program)
    others = sorted(file.name for file in files - {program})
    wanted = f" --with prefect=={metadata.version('prefect')}"
    wanted += "".join(f" --with {name}" for name in packages(files))
    run = f"uv run --no-project{wanted} {SITE}run.py"
    return " ".join([run, folder, program.name, *others])


def packages(files: set[Path]) -> list[str]:
    """The packages that programs import, without what Prefect brings along."""
    modules = {
        name.partition(".")[0]
        for file in files
        if file.suffix == ".py"
        for name in syntax.imports(file)
    }
    brought = {
        re.match(r"[\w.-]+", needed)[0]
        for needed in metadata.requires("prefect")
        if "extra ==" not in needed
    }
    of = _distributions()
    found = {name for module in modules for name in of.get(module, [])}
    return sorted(found - brought - {"prefect"})


@cache
def _distributions() -> dict[str, list[str]]:
    """The installed packages, by the modules that they bring: slow to ask."""
    return metadata.packages_distributions()


def _ranges(numbers: set[int]) -> str:
    """Numbers as the highlighter takes them: `4 7-9`."""
    rows = enumerate(sorted(numbers))
    runs = itertools.groupby(rows, lambda row: row[1] - row[0])
    ends = [[number for _, number in run] for _, run in runs]
    return " ".join(
        f"{run[0]}-{run[-1]}" if run[1:] else str(run[0]) for run in ends
    )


def signed(title: str) -> str:
    """The title of a block, with the sign of the side that it shows."""
    sign = SIGNS.get(title.partition(".")[0])
    return f"{sign} {title}" if sign else title


def _shortened(lines: list[str]) -> list[str]:
    """What stands for lines that are left out: a sign, or the only line."""
    texts = [line for line in lines if line]
    if len(texts) > 1 or GAP in texts:
        return [GAP]
    return [line for line, _ in itertools.groupby(lines)]


def _lines_of(file: Path, kind: type) -> set[int]:
    """The lines of a file's own statements of a kind, and its blank lines."""
    text = file.read_text("utf-8")
    blank = {
        n for n, line in enumerate(text.splitlines(), 1) if not line.strip()
    }
    if file.suffix != ".py":
        return blank
    return blank | {
        line
        for node in ast.parse(text).body
        if isinstance(node, kind)
        for line in range(node.lineno, node.end_lineno + 1)
    }


def _heads(file: Path, lines: set[int]) -> set[int]:
    """The first lines of all functions and statements that hold some lines."""
    if file.suffix != ".py":
        return set()
    return {
        node.lineno
        for node in ast.walk(syntax.tree_of(file))
        if isinstance(node, ast.stmt)
        and lines & {*range(_start(node), node.end_lineno + 1)}
    }


def _start(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min(part.lineno for part in [node, *decorators])
