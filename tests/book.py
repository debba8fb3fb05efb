"""The book as its files say it: chapters, rules, pages and what they include.

Everything that the suite knows about the repository's layout is here. Nothing
here runs Prefect.
"""

from __future__ import annotations

import itertools
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import markdown
from bs4 import BeautifulSoup, Tag
from mkdocs.config import load_config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.utils import meta
from pydantic import BaseModel, Field, ValidationError, field_validator
from pymdownx.snippets import SnippetMissingError

ROOT = Path(__file__).parent.parent
# In pages and what they show, for the address of the site and for that of its
# source. The theme puts these in their places.
SITE = "https://rules.example.org/"
SOURCE = "https://git.example.org/prefect-best-practices"
INCLUDE = re.compile(
    r'^ *--8<-- "(?P<path>[^":]+)(:(?P<section>[^"]+))?"', re.MULTILINE
)
SECTION = re.compile(
    r"^ *# --8<-- \[start:([\w-]+)\]\n"
    r"((?:(?!.*--8<--).*\n)*)"
    r"^ *# --8<-- \[end:\1\]$",
    re.MULTILINE,
)
SYMPTOM = re.compile(r"^### (`+)(?P<text>.+)\1 \{", re.MULTILINE)

# What a reader sees when something is wrong, in the order of the symptoms.
SEEN = {
    "completed": "It says Completed and is wrong",
    "stuck": "It is stuck: Pending, Late, Running, Cancelling",
    "absent": "It did not run, or does not show",
    "failed": "It failed, crashed or was refused",
    "twice": "It ran twice, or two ran at once",
    "slow": "It is slow",
    "secret": "A secret is visible",
    "tests": "The tests lie, or take long",
    "how": "Nothing is wrong: you ask how",
}
# Who can see whether a rule is kept, in the order of the checklist.
CHECKED = {
    "review": "In a code review",
    "deployment": "In a deployment",
    "server": "On the server",
    "team": "Once per team",
}
LEVELS = ("essential", "recommended", "situational")


class BookError(Exception):
    """A file of the book is not as it must be; the message names it."""


class FrontMatter(BaseModel, extra="forbid"):
    """What a rule page says above its title: only what lists are made from.

    Attributes:
        description: One sentence that says why. Search results and link
            previews show it, and the page begins with it.
        applies_to: Where the rule holds.
        level: How much a team that does not keep it has to fear.
        checked: Who can see whether it is kept.
        check: One sentence that is true of what keeps the rule.
        asked: What readers in need of it type, in their words, by what they
            see.
    """

    description: Annotated[str, Field(min_length=40, max_length=200)]
    applies_to: Annotated[
        list[Literal["open source", "Cloud"]], Field(min_length=1)
    ]
    level: Literal[LEVELS]
    checked: Literal[tuple(CHECKED)]
    check: Annotated[str, Field(max_length=160, pattern=r"[.]$")]
    asked: dict[
        Literal[tuple(SEEN)],
        Annotated[
            list[Annotated[str, Field(max_length=90)]], Field(min_length=1)
        ],
    ]

    @field_validator("asked")
    @classmethod
    def _of_a_few_lines(cls, asked: dict[str, list[str]]) -> dict:
        if not 2 <= sum(map(len, asked.values())) <= 6:
            raise ValueError("two to six lines in all")
        if not asked.keys() - {"how"}:
            raise ValueError("say also what they see, where the texts belong")
        return asked


@dataclass(frozen=True)
class Block:
    """A block of code as the reader sees it.

    Attributes:
        language: The word behind the fence, for example `python`.
        title: The text of the bar above the code, empty if there is none.
        text: The code.
    """

    language: str
    title: str
    text: str


def blocks_of(article: Tag) -> list[Block]:
    """List the blocks of a page, rendered here or by the build."""
    return [
        Block(
            language=next(
                name.removeprefix("language-")
                for name in div["class"]
                if name.startswith("language-")
            ),
            title=title.get_text()
            if (title := div.find(class_="filename"))
            else "",
            text=div.find("code").get_text().rstrip("\n"),
        )
        for div in article.select("div[class*=language-]:not(.doc-signature)")
    ]


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
    def article(self) -> Tag:
        """The page as the site's own Markdown renders it, see `Book`."""
        try:
            html = self.book.markdown.reset().convert(self.body)
        except SnippetMissingError as error:
            raise BookError(f"{self.name}: {error}") from error
        return BeautifulSoup(html, "html.parser")

    @cached_property
    def blocks(self) -> list[Block]:
        """Its blocks of code, in order."""
        return blocks_of(self.article)

    @cached_property
    def includes(self) -> list[re.Match[str]]:
        """The includes of its source, with `path` and `section`, in order."""
        return list(INCLUDE.finditer(self.body))


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

    @cached_property
    def asked(self) -> list[str]:
        """What readers in need of it type, in the order of the page."""
        return [*itertools.chain(*self.front_matter.asked.values())]

    @cached_property
    def symptoms(self) -> list[str]:
        """The exact texts (errors, states, log lines) that lead to it."""
        return [found["text"] for found in SYMPTOM.finditer(self.body)]

    @property
    def enforcement(self) -> Path:
        """What finds the harm in code, if a machine can: for ast-grep."""
        return self.room / "enforce.yml"

    def texts(self, seen: str) -> list[str]:
        """Its exact texts, if that is where its readers see them.

        A text is a failure in most cases, so it stands there if the rule does.
        """
        places = [key for key in self.front_matter.asked if key != "how"]
        place = "failed" if "failed" in places else places[0]
        return self.symptoms if seen == place else []

    @property
    def files(self) -> list[Path]:
        """All files in its room that belong to its programs, sorted."""
        return sorted(
            f
            for f in self.room.rglob("*")
            if f.is_file()
            and "__pycache__" not in f.parts
            and f != self.enforcement
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
    """A chapter: its introduction and its rules, in the order of the nav.

    Attributes:
        pages: The introduction, and the page with the tests.
    """

    title: str
    index: Page
    rules: list[Rule]

    @property
    def pages(self) -> tuple[Page, Page]:
        return self.index, Page(self.index.book, f"{self.name}/tests.md")

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

    @cached_property
    def markdown(self) -> markdown.Markdown:
        """The Markdown of the site, made to show what the contract asks about.

        It takes raw HTML for text, and gives a heading no other id than the one
        that is written behind it.
        """
        settings = dict(self.config.mdx_configs)
        settings["pymdownx.snippets"] = {
            **settings["pymdownx.snippets"],
            "base_path": [str(self.root)],
        }
        names = [n for n in self.config.markdown_extensions if n != "toc"]
        made = markdown.Markdown(extensions=names, extension_configs=settings)
        made.preprocessors.deregister("html_block")
        made.inlinePatterns.deregister("html")
        return made

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
    def by_level(self) -> list[Rule]:
        """The rules, essentials first."""
        return sorted(
            self.rules, key=lambda rule: LEVELS.index(rule.front_matter.level)
        )

    @property
    def enforced(self) -> list[Rule]:
        """The rules that have something for ast-grep."""
        return [rule for rule in self.rules if rule.enforcement.exists()]

    @cached_property
    def pages(self) -> list[Page]:
        """Every page of the site, rule pages as `Rule`."""
        rules = {rule.path: rule for rule in self.rules}
        docs = self.root / "docs"
        paths = sorted(
            file.relative_to(docs).as_posix() for file in docs.rglob("*.md")
        )
        return [rules.get(path, Page(self, path)) for path in paths]


def text_of(file: Path, section: str | None) -> str | None:
    """What an include of a file, or of a named section of it, must show."""
    text = file.read_text("utf-8")
    if section is not None:
        text = dict(SECTION.findall(text)).get(section)
    return text and text.rstrip("\n")


def copied(to: Path) -> Path:
    """Copy what the book consists of, and return the copy."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("docs", "snippets", "tests", "overrides"):
        shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=ignore)
    for file in [
        ROOT / "mkdocs.yml",
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.txt"),
    ]:
        shutil.copy(file, to)
    return to


BOOK = Book()
