"""What the code of a rule really does, read from its syntax, not its text.

A comment, a docstring or a constant that nothing uses proves nothing: what
counts here is what runs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.book import Rule

# Calls that fail a test when something is not as it must be.
ASSERTING = {"expect", "settles", "raises", "warns", "report", "record", "fail"}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
SKIPPING = {"skip", "skipif", "xfail", "importorskip", "SkipTest"}


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def reached(rule: Rule) -> set[Path]:
    """The files of a rule's room that run, or that running code names."""
    outputs = {program.with_suffix(".out") for program in rule.programs}
    found = {*rule.programs, *outputs} & set(rule.files)
    ahead = [rule.test, *rule.programs]
    while ahead:
        code = ahead.pop()
        if code.suffix == ".py" and code.is_file():
            new = {
                file
                for file in set(rule.files) - found
                if names(code, file, rule.room)
            }
            found |= new
            ahead += new
    return found


def names(code: Path, file: Path, room: Path) -> bool:
    """Whether running code imports a file of the room, or names it."""
    path = file.relative_to(room).as_posix()
    # An entrypoint such as `flows/orders.py:load` names a file too.
    used = {text.partition(":")[0] for text in _strings(tree_of(code))}
    imported = _imports(tree_of(code)) if file.suffix == ".py" else set()
    return (
        any(text in (path, file.name) for text in used)
        or any(text.endswith(f"/{path}") for text in used)
        or file.stem in imported | (used if file.suffix == ".py" else set())
    )


def _imports(tree: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return {module.rpartition(".")[2] for module in modules}


def _strings(tree: ast.Module) -> set[str]:
    """The strings of code that runs: no docstrings, no unused constants."""
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    idle = {
        inner
        for node in ast.walk(tree)
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (
            isinstance(node, ast.Assign)
            and all(
                isinstance(target, ast.Name) and target.id not in read
                for target in node.targets
            )
        )
        for inner in ast.walk(node)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node not in idle
    }


def asserted(test: Path) -> list[str]:
    """The strings that an assertion of a test file compares something with.

    Also those that it compares by a name: the names in assertions are followed
    to the values and the functions that have them in the file.
    """
    if not test.is_file():
        return []
    tree = tree_of(test)
    values: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        values.setdefault(name.id, []).append(node.value)
        elif isinstance(node, FUNCTION):
            values.setdefault(node.name, []).extend(node.body)
            for argument in node.args.args:
                for mark in node.decorator_list:
                    values.setdefault(argument.arg, []).append(mark)
    ahead = list(_assertions(tree))
    texts, followed = [], set()
    while ahead:
        for node in ast.walk(ahead.pop()):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.Name) and node.id not in followed:
                followed.add(node.id)
                ahead += values.get(node.id, [])
    return texts


def _assertions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, ast.Call) and (
            _called(node) in ASSERTING
            or _called(node).startswith(("test_", "assert_"))
            or any(keyword.arg == "check" for keyword in node.keywords)
        ):
            yield node


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def defined_twice(file: Path) -> list[str]:
    """The tests that Python forgets, because a later one has their name."""
    return [
        name
        for scope in ast.walk(tree_of(file))
        if isinstance(scope, ast.Module | ast.ClassDef)
        for name, times in Counter(
            node.name
            for node in scope.body
            if isinstance(node, FUNCTION) and node.name.startswith("test_")
        ).items()
        if times > 1
    ]


def without_assertion(file: Path) -> list[str]:
    """The tests in which nothing can fail, nor in what they call here."""
    tree = tree_of(file)
    local = {
        node.name: node for node in ast.walk(tree) if isinstance(node, FUNCTION)
    }

    def asserts(function: ast.AST, seen: frozenset[str]) -> bool:
        if any(True for _ in _assertions(function)):
            return True
        called = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name)
        } | {
            node.arg for node in ast.walk(function) if isinstance(node, ast.arg)
        }
        return any(
            asserts(local[name], seen | {name})
            for name in (called & set(local)) - seen
        )

    return [
        name
        for name, function in local.items()
        if name.startswith("test_") and not asserts(function, frozenset({name}))
    ]


def skips(file: Path) -> list[str]:
    """How a file skips tests, if it does."""
    return sorted(
        {
            name
            for node in ast.walk(tree_of(file))
            for name in [getattr(node, "attr", getattr(node, "id", None))]
            if name in SKIPPING
        }
    )
