"""The book as its files say it: chapters, rules, pages and what they include.

Everything that the suite knows about the repository's layout is here. Nothing
here runs Prefect.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import markdown
import pytest_codeblocks
from mkdocs.config import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.utils import meta
from pydantic import BaseModel, Field, ValidationError
from pymdownx.snippets import SnippetPreprocessor

ROOT = Path(__file__).parent.parent
INCLUDE = re.compile(
    r'\s*--8<-- "(?P<path>[\w./-]+?)(:(?P<section>[a-z][a-z0-9_-]*))?"'
)
SECTION_MARKER = re.compile(r"--8<-- \[(start|end):([\w-]+)\]")


class BookError(Exception):
    """A file of the book is not as it must be; the message names it."""


class FrontMatter(BaseModel, extra="forbid"):
    """What a rule page says above its title: only what lists are made from.

    Attributes:
        description: One sentence that says why. Search results and link
            previews show it, and the page begins with it.
        applies_to: Where the rule holds.
        symptoms: Exact texts (errors, states, log lines) that lead to it.
    """

    description: Annotated[str, Field(min_length=40, max_length=200)]
    applies_to: Annotated[
        list[Literal["open source", "Cloud"]], Field(min_length=1)
    ]
    symptoms: Annotated[list[str], Field(min_length=1)]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with its includes expanded.

    Attributes:
        info: What stands behind the fence, for example `python title="do.py"`.
        code: The text that the reader sees.
        output: The text of the output block that belongs to it, if any.
    """

    info: str
    code: str
    output: str | None


@dataclass(frozen=True)
class Page:
    """One Markdown page, addressed by its path below `docs/`."""

    book: Book
    path: str

    @property
    def file(self) -> Path:
        return self.book.root / "docs" / self.path

    @property
    def name(self) -> str:
        """The file as messages name it: `docs/secrets/index.md`."""
        return f"docs/{self.path}"

    @property
    def address(self) -> str:
        """Its address below the site's, empty for the home page."""
        path = re.sub(r"(index)?\.md$", "", self.path).removesuffix("/")
        return path + "/" * bool(path)

    @cached_property
    def source(self) -> str:
        if not self.file.is_file():
            raise BookError(
                f"{self.name}: named by the nav of mkdocs.yml, but there is no"
                " such file. Write the page or take the line away."
            )
        return self.file.read_text("utf-8")

    @cached_property
    def body(self) -> str:
        """The page without its front matter."""
        return meta.get_data(self.source)[0]

    @property
    def description(self) -> str:
        """What search results, link previews and cards say of the page."""
        said = meta.get_data(self.source)[1].get("description")
        if not said:
            raise BookError(
                f"{self.name}: front matter: no description. Say in one"
                " sentence what the page is for."
            )
        return said

    @cached_property
    def title(self) -> str:
        found = re.search(r"^# (.+?)( \{.*\})?$", self.body, re.MULTILINE)
        if not found:
            raise BookError(f"{self.name}: no title. Begin it with '# '.")
        return found[1]

    @cached_property
    def expanded(self) -> str:
        """The body as the reader gets it, includes expanded by pymdownx."""
        return "\n".join(self.book.snippets().run(self.body.split("\n")))

    @cached_property
    def blocks(self) -> list[Block]:
        """The fenced blocks of the expanded page, as pytest-codeblocks does."""
        try:
            found = pytest_codeblocks.extract_from_buffer(
                io.StringIO(self.expanded + "\n")
            )
        except RuntimeError as error:
            raise BookError(f"{self.name}: {error}") from error
        # An include brings its file's last line break, which no fence shows.
        return [
            Block(
                b.syntax or "",
                b.code.rstrip("\n"),
                None
                if b.expected_output is None
                else b.expected_output.rstrip("\n"),
            )
            for b in found
        ]

    @cached_property
    def includes(self) -> list[re.Match[str]]:
        """The includes of the page, with `path` and `section`, in order."""
        found = (INCLUDE.fullmatch(line) for line in self.body.split("\n"))
        return [match for match in found if match]


@dataclass(frozen=True)
class Rule(Page):
    """A rule page, with the two other rooms that bear its name."""

    @property
    def chapter(self) -> str:
        return self.path.split("/")[0]

    @property
    def slug(self) -> str:
        return Path(self.path).stem

    @property
    def room(self) -> Path:
        """The folder of its programs."""
        parts = self.path.removesuffix(".md").replace("-", "_")
        return self.book.root / "snippets" / parts

    @property
    def test(self) -> Path:
        """The file of the tests that prove it."""
        chapter, slug = (
            self.path.removesuffix(".md").replace("-", "_").split("/")
        )
        return self.book.root / "tests" / chapter / f"test_{slug}.py"

    @cached_property
    def front_matter(self) -> FrontMatter:
        try:
            return FrontMatter.model_validate(meta.get_data(self.source)[1])
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors()
            )
            raise BookError(
                f"{self.name}: front matter: {wrong}. A rule page has exactly"
                f" these keys: {', '.join(FrontMatter.model_fields)}."
            ) from error

    @property
    def files(self) -> list[Path]:
        """All files in its room, sorted."""
        return sorted(
            f
            for f in self.room.rglob("*")
            if f.is_file() and "__pycache__" not in f.parts
        )

    @property
    def programs(self) -> list[Path]:
        """The programs that run: don't, do, and others with an output."""
        return [
            f
            for f in self.files
            if f.name in ("dont.py", "do.py")
            or (f.suffix == ".py" and f.with_suffix(".out").exists())
        ]


@dataclass(frozen=True)
class Chapter:
    """A chapter: its introduction and its rules, in the order of the nav."""

    title: str
    index: Page
    rules: list[Rule]

    @property
    def name(self) -> str:
        return self.index.path.split("/")[0]


class Book:
    """The repository below `root`.

    Args:
        root: The folder that holds `mkdocs.yml`.
    """

    def __init__(self, root: Path = ROOT):
        self.root = root
        self.config: MkDocsConfig = load_config(str(root / "mkdocs.yml"))

    def snippets(self) -> SnippetPreprocessor:
        """The include step of the site's own Markdown, for this root."""
        settings = dict(self.config.mdx_configs["pymdownx.snippets"])
        settings["base_path"] = [
            str(self.root / base) for base in settings["base_path"]
        ]
        md = markdown.Markdown(
            extensions=["pymdownx.snippets"],
            extension_configs={"pymdownx.snippets": settings},
        )
        step = md.preprocessors["snippet"]
        assert isinstance(step, SnippetPreprocessor)
        return step

    @cached_property
    def chapters(self) -> list[Chapter]:
        """What the nav lists under "Rules"."""
        sections = {k: v for item in self.config.nav for k, v in item.items()}
        return [
            Chapter(
                title=title,
                index=Page(self, paths[0]),
                rules=[Rule(self, path) for path in paths[1:]],
            )
            for section in sections["Rules"]
            for title, paths in section.items()
        ]

    @cached_property
    def rules(self) -> list[Rule]:
        return [rule for chapter in self.chapters for rule in chapter.rules]

    @cached_property
    def pages(self) -> list[Page]:
        """Every page of the site, rule pages as `Rule`."""
        rules = {rule.path: rule for rule in self.rules}
        docs = self.root / "docs"
        paths = sorted(
            file.relative_to(docs).as_posix() for file in docs.rglob("*.md")
        )
        return [rules.get(path, Page(self, path)) for path in paths]


BOOK = Book()
