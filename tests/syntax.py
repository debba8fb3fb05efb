"""What the code of a rule really does, read from its syntax, not its text.

A comment, a docstring or a constant that nothing uses proves nothing: what
counts here is what runs.
"""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.book import Rule

# Calls that fail a test when something is not as it must be.
ASSERTING = {
    *("expect", "settles", "raises", "warns"),
    *("report", "record", "table", "fail"),
}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(file: Path) -> ast.Module:
    """The syntax of a file. It is shared, so it must not be changed."""
    return _parsed(file.read_text("utf-8"))


_parsed = cache(ast.parse)


def tests_of(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The test functions of a file, in its order."""
    return [
        node
        for node in tree_of(file).body
        if isinstance(node, FUNCTION) and node.name.startswith("test_")
    ]


def reached(rule: Rule) -> set[Path]:
    """The files of a rule's room that run, or that running code names."""
    outputs = {program.with_suffix(".out") for program in rule.programs}
    found = _followed_files(rule, [rule.test, *rule.programs], _is_named)
    return (found | outputs) & {*rule.files}


def needed(rule: Rule, program: Path) -> set[Path]:
    """The files of a rule's room without which a program does not run."""

    def named(code: Path, file: Path, room: Path) -> bool:
        if file.suffix == ".out":
            return False
        if code.suffix == ".py":
            return names(code, file, room)
        return file.name in code.read_text("utf-8")

    return _followed_files(rule, [program], named)


def _is_named(code: Path, file: Path, room: Path) -> bool:
    return code.suffix == ".py" and code.is_file() and names(code, file, room)


def _followed_files(
    rule: Rule, start: list[Path], named: Callable[[Path, Path, Path], bool]
) -> set[Path]:
    """Some files, and those of a rule's room that they name, and so on."""
    found, ahead = {*start}, [*start]
    while ahead:
        code = ahead.pop()
        new = {
            file
            for file in {*rule.files} - found
            if named(code, file, rule.room)
        }
        found |= new
        ahead += new
    return found


def names(code: Path, file: Path, room: Path) -> bool:
    """Whether running code imports a file of the room, or names it."""
    path = file.relative_to(room).as_posix()
    tree = tree_of(code)
    # An entrypoint such as `flows/orders.py:load` names a file too.
    used = {text.partition(":")[0] for text in _strings(tree)}
    own = {module.rpartition(".")[2] for module in imports(code)}
    modules = used | own if file.suffix == ".py" else set()
    return (
        bool({path, file.name} & used)
        or any(text.endswith(f"/{path}") for text in used)
        or file.stem in modules
    )


def imports(code: Path) -> set[str]:
    """The names of the modules that a program imports."""
    return _modules(tree_of(code))


@cache
def _modules(tree: ast.Module) -> set[str]:
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


@cache
def _strings(tree: ast.Module) -> set[str]:
    """The strings of code that runs: no docstrings, no unused constants."""
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }

    def idle(node: ast.AST) -> bool:
        match node:
            case ast.Expr(value=ast.Constant()):
                return True
            case ast.Assign(targets=[ast.Name(id=name)]):
                return name not in read
        return False

    unused = {
        inner
        for node in ast.walk(tree)
        if idle(node)
        for inner in ast.walk(node)
    }
    return set(_texts(set(ast.walk(tree)) - unused))


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def asserted(test: Path) -> list[str]:
    """The strings that an assertion of a test file compares something with.

    Also those that it compares by a name: the names in assertions are followed
    to the values and the functions that have them in the file.
    """
    tree = tree_of(test)
    assertions = [node for node in ast.walk(tree) if _asserts(node)]
    return list(_texts(_followed(assertions, tree)))


def without_assertion(test: Path) -> list[str]:
    """The tests in which nothing can fail, nor in what they name here."""
    tree = tree_of(test)
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, FUNCTION)
        and node.name.startswith("test_")
        and not any(map(_asserts, _followed([node], tree)))
    ]


def uncalled(program: Path) -> list[str]:
    """The functions of a program that running it never reaches.

    Reached is what its statements name, and what that names in turn: by a
    variable, a decorator or an entrypoint such as `do.py:load`.
    """
    tree = tree_of(program)
    functions = {n.name: n for n in tree.body if isinstance(n, FUNCTION)}
    values = {
        name.id: node
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in node.targets
        if isinstance(name, ast.Name)
    }
    ahead: list[ast.AST] = [
        node
        for node in tree.body
        if isinstance(node, ast.If | ast.For | ast.With | ast.Expr)
    ]
    reached: set[str] = set()
    while ahead:
        node = ahead.pop()
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        used |= {text.rpartition(":")[2] for text in _texts(ast.walk(node))}
        if "pytest" in used:
            return []
        used |= {
            name
            for name, function in functions.items()
            for decorator in function.decorator_list
            if used
            & {n.id for n in ast.walk(decorator) if hasattr(n, "id")}
            & functions.keys()
        }
        new = (used - reached) & (functions.keys() | values.keys())
        reached |= new
        ahead += [functions.get(name) or values[name] for name in new]
    return sorted(functions.keys() - reached)


def typed_results(program: Path) -> list[str]:
    """The calls that print a text which no work has produced.

    A heading, which ends with a colon, may be typed.
    """
    return [
        ast.unparse(node)
        for node in ast.walk(tree_of(program))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "print"
        and node.args
        and all(isinstance(part, ast.Constant) for part in node.args)
        and not str(node.args[-1].value).endswith(":")
    ]


def fingerprint(rule: Rule) -> str:
    """Of what a result of a rule holds for: its programs and its tests.

    Other words in a docstring or a comment, and other line breaks, leave it as
    it is.
    """
    seen = hashlib.sha256()
    for file in [*rule.files, rule.test]:
        text = file.read_text("utf-8")
        if file.suffix == ".py":
            tree = ast.parse(text)
            for node in ast.walk(tree):
                if isinstance(node, FUNCTION) and ast.get_docstring(node):
                    node.body = node.body[1:]
            text = ast.dump(tree)
        if file.suffix != ".md":
            seen.update(text.encode())
    return seen.hexdigest()[:16]


def _asserts(node: ast.AST) -> bool:
    match node:
        case ast.Assert():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return (
                name in ASSERTING
                or name.startswith(("test_", "assert_"))
                or any(keyword.arg == "check" for keyword in node.keywords)
            )
    return False


def _followed(start: list[ast.AST], tree: ast.Module) -> Iterator[ast.AST]:
    """All that is in some nodes, and in what has the names in them here."""
    named: dict[str, list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        named[name.id].append(node.value)
        elif isinstance(node, FUNCTION):
            named[node.name] += node.body
            for argument in node.args.args:  # as parametrize gives it a value
                named[argument.arg] += node.decorator_list
    ahead = [*start]
    while ahead:
        for node in ast.walk(ahead.pop()):
            yield node
            name = getattr(node, "id", getattr(node, "arg", None))
            ahead += named.pop(name, [])
