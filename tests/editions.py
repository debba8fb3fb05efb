"""What changed, day by day, for the page about it and for its Atom feed."""

from __future__ import annotations

import datetime
import html
import re
import tomllib

from pydantic import BaseModel, ValidationError

from tests.book import Book, BookError, Page


class Edition(BaseModel, extra="forbid"):
    """What changed on a day.

    Attributes:
        date: The day.
        prefect: The version that everything ran on.
        id: The permanent address, below that of "What changed".
        says: What is different for a reader, as Markdown.
        changed: What is new in rules, by their slugs.
        new: The slugs of rules that came.
    """

    date: datetime.date
    prefect: str
    id: str
    says: str
    changed: dict[str, str] = {}
    new: list[str] = []

    @property
    def title(self) -> str:
        return f"{self.date:%-d %B %Y}, Prefect {self.prefect}"


def editions(book: Book) -> list[Edition]:
    """What changed, newest first.

    Raises:
        BookError: If the file is not as it must be, or names no rule.
    """
    file = book.root / "snippets/changes.toml"
    name = file.relative_to(book.root)
    try:
        found = tomllib.loads(file.read_text("utf-8"))["edition"]
        made = [Edition.model_validate(edition) for edition in found]
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise BookError(f"{name}: {error}") from error
    known = {rule.slug for rule in book.rules}
    named = {slug for e in made for slug in [*e.changed, *e.new]}
    if strange := named - known:
        raise BookError(f"{name}: {', '.join(strange)}: no such rule.")
    if silent := known - named:
        raise BookError(f"{name}: add a line for {', '.join(silent)}.")
    return made


def changes(page: Page) -> str:
    """What changed, newest first, by chapter."""
    return "\n\n".join(
        f"## {edition.title} {{ #{edition.id} }}\n\n"
        + _changes_of(edition, page.book)
        for edition in editions(page.book)
    )


def _changes_of(edition: Edition, book: Book) -> str:
    parts = [edition.says.strip()]
    for chapter in book.chapters:
        lines = [
            f"- [{rule.title}]({rule.path}): {edition.changed[rule.slug]}"
            for rule in chapter.rules
            if rule.slug in edition.changed
        ] + [
            f"- New: [{rule.title}]({rule.path})"
            for rule in chapter.rules
            if rule.slug in edition.new
        ]
        if lines:
            parts += [f"**{chapter.title}**", "\n".join(lines)]
    return "\n\n".join(parts)


def feed(book: Book) -> str:
    """What changed as an Atom feed: a template, with the site's address."""
    site = "{{ config.site_url }}"
    days = editions(book)
    entries = "".join(
        f"""\
 <entry>
  <title>{edition.title}</title>
  <id>{site}changes/#{edition.id}</id>
  <link href="{site}changes/#{edition.id}"/>
  <updated>{edition.date}T00:00:00Z</updated>
  <content type="html" xml:base="{site}">{_as_html(edition, book)}</content>
 </entry>
"""
        for edition in days
    )
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
 <title>{book.config.site_name}</title>
 <id>{site}</id>
 <link href="{site}"/>
 <link rel="self" href="{site}feed.xml"/>
 <author><name>{book.config.site_name}</name></author>
 <updated>{days[0].date}T00:00:00Z</updated>
{entries}</feed>
"""


def _as_html(edition: Edition, book: Book) -> str:
    """The changes as escaped HTML, with links that start at the site."""
    made = book.markdown.reset().convert(_changes_of(edition, book))
    return html.escape(re.sub(r'(href="[^":]+)\.md"', r'\1/"', made))
