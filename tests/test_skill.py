"""The skill for assistants: what it says exists, and it is made of pages."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator

import prefect
import pytest
from prefect.cli._app import _app as cli
from prefect.deployments.steps import run_shell_script
from prefect.filesystems import LocalFileSystem
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields

from tests import skill
from tests.book import BOOK, ROOT, SITE, text_of
from tests.programs import tool

FILES = skill.files(BOOK)
FOLDER = ROOT / "snippets/skill"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
ARGUMENT = re.compile(r"(?:^|[(, ])([a-z_]+)=(?!=)")
# Arguments of respx, VCR.py, pytest-httpx and pydantic-settings.
OF_OTHERS = {
    *("assert_all_mocked", "host", "record_mode", "ignore_localhost"),
    *("should_mock", "env_prefix", "secrets_dir"),
}
# Names that rules show because Prefect does not know them, and three that it
# reads without having a setting for them.
NO_SETTINGS = {
    *("PREFECT_RESULT_PERSIST_BY_DEFAULT", "PREFECT_PERSIST_RESULTS"),
    *("PREFECT_SERVER_AUTH_STRING", "PREFECT_SERVER_PORT"),
    "PREFECT_SERVER_ENCRYPTION_KEY",
    *("PREFECT_PROFILE", "PREFECT_LOGGING_ROOT_LEVEL"),
    "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR",
}
SETTING = re.compile(r"\bPREFECT_[A-Z_]*[A-Z]\b")
RULES = {rule.slug: rule for rule in BOOK.rules}


def test_the_skill_is_recorded(record):
    for path, text in FILES.items():
        record(FOLDER / path, text)
    committed = {
        file.relative_to(FOLDER).as_posix()
        for file in FOLDER.rglob("*")
        if file.is_file()
    }
    assert committed == FILES.keys()


def test_all_assistants_read_the_same():
    text = FILES["AGENTS.md"]
    for name in ("SKILL.md", f"{skill.NAME}.mdc"):
        front_matter, body = FILES[name].split("---\n\n", 1)
        assert body == text
        assert front_matter.startswith("---\n")
    assert len(FILES["SKILL.md"].split()) <= 6000
    for rule in BOOK.rules:
        assert f"- `{rule.slug}`: {rule.front_matter.check}" in text
        assert f": `{rule.slug}`\n" in text


@pytest.mark.parametrize("slug", RULES)
def test_each_block_is_a_file_that_was_tested(slug):
    rule = RULES[slug]
    shown = {
        text_of(BOOK.root / found["path"], found["section"])
        for found in rule.includes
    }
    blocks = [
        b[2].rstrip("\n") for b in BLOCK.finditer(FILES[f"rules/{slug}.md"])
    ]
    assert blocks
    assert {*blocks} <= shown
    for side in ("dont", "do"):
        assert any(
            f"{side}." in line
            for line in FILES[f"rules/{slug}.md"].splitlines()
        )


def test_the_skill_is_installed_as_the_page_says(tmp_path):
    (tmp_path / "AGENTS.md").write_text("# Ours\n")
    site = f"{(ROOT / 'docs').as_uri()}/"
    for name in ("install.sh", "agents.sh", "cursor.sh"):
        script = (ROOT / "snippets/assistants" / name).read_text("utf-8")
        script = script.replace(SITE, site)
        run = tool("sh", "-euc", script, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    text = FILES["AGENTS.md"]
    assert (tmp_path / "AGENTS.md").read_text() == f"# Ours\n{text}"
    cursor = tmp_path / f".cursor/rules/{skill.NAME}.mdc"
    assert cursor.read_text() == FILES[cursor.name]
    for slug in re.findall(r"^- `([\w-]+)`", text, re.MULTILINE):
        assert (tmp_path / skill.HOME / f"rules/{slug}.md").is_file()


@pytest.mark.parametrize("path", FILES)
def test_each_import_and_command_and_setting_exists(path):
    text = FILES[path]
    for program in programs(text):
        asked = re.search(r"^(from|import) prefect", program, re.M)
        assert [*imported(program)] or not asked
    for command in re.findall(r"`prefect ([a-z][^`\n]*)`", text):
        found, apps, rest = cli.parse_commands(command.split())
        assert found and apps[-1].default_command, command
        options = {
            o for a in apps[-1].assemble_argument_collection() for o in a.names
        }
        assert {o for o in rest if o.startswith("-")} <= options, command
    settings = {*SETTING.findall(text)} - NO_SETTINGS
    assert settings <= {*_get_settings_fields(Settings)}


def test_each_argument_exists():
    known = set(OF_OTHERS)
    things = [getattr(prefect, name) for name in prefect.__all__]
    things += [run_shell_script, LocalFileSystem]
    for text in FILES.values():
        for program in programs(text):
            things += imported(program)
            known |= {
                node.arg
                for node in ast.walk(ast.parse(program))
                if isinstance(node, ast.keyword | ast.arg)
            }
    for thing in {id(thing): thing for thing in things}.values():
        known |= parameters(thing)
    unknown = {
        (path, argument)
        for path, text in FILES.items()
        for code in INLINE.findall(BLOCK.sub("", text))
        for argument in ARGUMENT.findall(code)
        if argument not in known
    }
    assert unknown == set()


def programs(text: str) -> list[str]:
    """The Python programs of a text."""
    return [b[2] for b in BLOCK.finditer(text) if b[1] == "python"]


def imported(code: str) -> Iterator[object]:
    """What a program imports from Prefect and its packages.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If a module has no such name.
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and of_prefect(node.module):
            module = importlib.import_module(node.module)
            for alias in node.names:
                try:
                    yield getattr(module, alias.name)
                except AttributeError:
                    yield importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in filter(lambda a: of_prefect(a.name), node.names):
                yield importlib.import_module(alias.name)


def of_prefect(module: str | None) -> bool:
    return bool(re.match(r"prefect(_\w+)?(\.|$)", module or ""))


def parameters(thing: object) -> set[str]:
    """The arguments of a function, or of a class and its methods."""
    things = [thing]
    if inspect.isclass(thing):
        things += [m for _, m in inspect.getmembers(thing, callable)]
    found: set[str] = set()
    for one in things:
        try:
            found |= inspect.signature(one).parameters.keys()
        except (TypeError, ValueError):  # written in C, or no signature
            continue
    return found
