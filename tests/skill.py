"""The skill for assistants: the rules as Markdown files, made from the pages.

An assistant reads `SKILL.md` first, and of the rules only those that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests import sentences
from tests.book import CHECKED, LEVELS, SEEN, Book, Rule, text_of

NAME = "prefect-best-practices"
# Where the skill is put in a reader's repository, so that the same text can
# stand in other files than SKILL.md.
HOME = f".claude/skills/{NAME}"
DESCRIPTION = (
    "Rules for code, deployments and servers of Prefect 3. Use it before you"
    " write or review flows, tasks, prefect.yaml or tests of flows, and when a"
    " flow run is stuck, late, slow, wrong, repeated or failed."
)
# What is for a reader of the site: marks, what runs a program, pictures.
FOR_READERS = re.compile(
    r"<!-- .*? -->\n|^``` \{ \.text \.run .*?^```\n"
    r"|^!\[.*?\]\(.*?\)(?:\{.*?\})?\n",
    re.DOTALL | re.MULTILINE,
)
FENCE = re.compile(
    r"^``` ?(?:\{ \.)?(?P<language>\w+) title=\"(?P<title>[^\"]+)\".*$",
    re.MULTILINE,
)
FOLD = re.compile(r"^/// details \| (.*)\n|^///\n", re.MULTILINE)
LINK = re.compile(r"\[(?P<text>[^\[\]]+)\](?:\((?P<to>[^)]*)\)|\[[^\]]*\])")
SECTION = sentences.section("dont", *sentences.SECTIONS)


def files(book: Book) -> dict[str, str]:
    """The files of the skill, by their paths in its folder."""
    text = overview(book)
    return {
        "SKILL.md": f"---\nname: {NAME}\ndescription: {DESCRIPTION}\n---\n\n"
        + text,
        # The same for assistants that do not know skills.
        "AGENTS.md": text,
        f"{NAME}.mdc": f"---\ndescription: {DESCRIPTION}\nglobs:\n"
        "alwaysApply: false\n---\n\n" + text,
    } | {f"rules/{rule.slug}.md": as_file(rule) for rule in book.rules}


def overview(book: Book) -> str:
    """What an assistant reads first."""
    by_level = book.by_level
    essentials = "".join(
        f"- `{rule.slug}`: {rule.front_matter.check} {rule.description}\n"
        for rule in by_level
        if rule.front_matter.level == LEVELS[0]
    )
    others = "".join(
        f"- `{rule.slug}`: {rule.front_matter.check}\n"
        for rule in by_level
        if rule.front_matter.level != LEVELS[0]
    )
    symptoms = "\n".join(
        f"### {heading}\n\n" + "".join(_seen(by_level, seen))
        for seen, heading in SEEN.items()
        if seen != "how"
    )
    return f"""\
# Best practices for Prefect

Each rule has a file, `{HOME}/rules/<name>.md`, with a program that does the
wrong thing, what happens then, and one that does it right. Both ran on the
version of Prefect that this text was made for, and their outputs are shown.
Where your memory of Prefect differs from these files, trust the files; where
they differ from the installed Prefect, trust what you run.

- Before you write or change a flow, a task, a deployment or a test of one, go
  through the essential rules, and read the file of each that the change
  touches.
- When something goes wrong, find what the user sees under "What you see", and
  read the file of that rule before you change code.
- If the repository has the folder `prefect-rules`, run
  `python prefect-rules/prefect_rules.py --level=situational` after a change:
  it finds what breaks a rule. Do not silence it without a reason.
- Say which rule you followed, and say so when you break one: its file says
  where it does not hold.

## Essential rules

Each is a sentence that must be true, and why.

{essentials}
## Other rules

{others}
## What you see

{symptoms}"""


def _seen(rules: list[Rule], seen: str) -> Iterator[str]:
    """Lines that lead from what readers see to a rule."""
    for rule in rules:
        asked = rule.front_matter.asked
        lines = asked.get(seen, [])[:1]
        lines += [f"`{text}`" for text in rule.texts(seen)]
        if lines:
            yield f"- {'; '.join(lines)}: `{rule.slug}`\n"


def as_file(rule: Rule) -> str:
    """A rule as an assistant reads it."""
    said = rule.front_matter
    text = "\n".join(
        f"## {section['title']}\n\n{_plain(section['text'], rule)}\n"
        for section in SECTION.finditer(rule.body)
    )
    return (
        f"# {rule.title}\n\n{rule.description}\n\n"
        f"{said.level.capitalize()}. {CHECKED[said.checked]}: {said.check}\n\n"
        f"{text}"
    )


def _plain(source: str, rule: Rule) -> str:
    """Markdown that needs no site: files in the place of their includes."""
    text = sentences.MARK.sub("", FOR_READERS.sub("", source))
    text = FENCE.sub(r"\g<title>:\n\n```\g<language>", text)
    text = FOLD.sub(lambda fold: f"{fold[1]}:\n" if fold[1] else "", text)
    text = re.sub(r"\n{3,}", "\n\n", LINK.sub(_as_text, text)).strip()
    for found in rule.includes:
        shown = text_of(rule.book.root / found["path"], found["section"])
        if found["path"].endswith(".md"):
            shown = LINK.sub(_as_text, shown)
        text = text.replace(found[0], shown)
    return text


def _as_text(link: re.Match[str]) -> str:
    """A link as its text, with the name of the rule that it leads to."""
    to = re.search(r"([\w-]+)\.md", link["to"] or "")
    if to and "index" not in to[1]:
        return f"{link['text']} (`{to[1]}`)"
    return link["text"]
