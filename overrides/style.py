"""The one style sheet that every page loads.

Most of Material's style sheets is about things that no page of this book has.
The text made here holds what the pages use of them, and then our own, from
`overrides/site.css`. It is recorded as `docs/assets/style.css`;
`overrides/theme/main.html` names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import material
import rcssmin
import tinycss2
from tinycss2.ast import Node

STYLESHEETS = Path(material.__file__).parent / "templates/assets/stylesheets"

# What Material's script adds to our pages: beginnings of class names.
SCRIPTED = (
    "focus-visible",
    "js",
    "md-clipboard",
    "md-code__",
    "md-dialog",
    "md-header",
    "md-nav__link",
    "md-search-result",
    "md-tabs",
    "md-top",
    "md-typeset__",
)


def stylesheet(pages: Iterable[str], own: str, foreign: str) -> str:
    """Return Material's style sheets without what no page can use, and ours.

    A rule stays if the pages have every class, attribute value and element that
    its selector names, or Material's script adds them.

    Args:
        pages: The built pages, as HTML.
        own: Our own style sheet.
        foreign: Another one, which a page loads for itself.
    """
    html = "\n".join(pages)
    lists = re.findall(r'class="([^"]*)"', html)
    classes = {name for names in lists for name in re.findall(r"[\w-]+", names)}
    elements = {*re.findall(r"<([a-z][a-z0-9-]*)", html), "mark"}
    values = {*re.findall(r'[\w-]+="([^"]*)"', html), "copy"}
    attributes = {*re.findall(r" ([\w-]+)(?=[= >])", html)}

    def used(selector: str) -> bool:
        names = _names(selector)
        return (
            names["elements"] <= elements
            and names["values"] <= values
            and all(
                name.startswith("data-md-")
                for name in names["attributes"] - attributes
            )
            and all(
                name.startswith(SCRIPTED) for name in names["classes"] - classes
            )
        )

    kept = ""
    for pattern in ("main.*.min.css", "palette.*.min.css"):
        (file,) = STYLESHEETS.glob(pattern)
        text = re.sub(r"\n?/\*#.*?\*/", "", file.read_text("utf-8"))
        rules = tinycss2.parse_stylesheet(text, True, True)
        kept += tinycss2.serialize(list(_pruned(rules, used)))
    sheet = _without_unused_properties(kept, own + foreign)
    return f"{rcssmin.cssmin(sheet + own)}\n"


def _pruned(
    nodes: Iterable[Node], used: Callable[[str], bool]
) -> Iterator[Node]:
    """The rules that have a selector in use, and only such selectors."""
    for node in nodes:
        if node.type == "qualified-rule":
            # Commas in parentheses do not divide a list of selectors.
            every = re.split(r",(?![^(]*\))", tinycss2.serialize(node.prelude))
            kept = ",".join(filter(used, every))
            node.prelude = tinycss2.parse_component_value_list(kept)
            if kept:
                yield node
        elif node.type == "at-rule" and node.at_keyword in (
            "media",
            "supports",
        ):
            rules = tinycss2.parse_rule_list(node.content, True, True)
            node.content = list(_pruned(rules, used))
            if node.content:
                yield node
        else:
            yield node


def _names(selector: str) -> dict[str, set[str]]:
    """The names that must be on a page for a selector to find something."""
    # What stands in :not() or :is() may be absent.
    while (rest := re.sub(r":[\w-]+\([^()]*\)", "", selector)) != selector:
        selector = rest
    values = re.findall(r"\[[\w-]+[~|^$*]?=\"?([^\]\"]*)\"?\]", selector)
    attributes = re.findall(r"\[([\w-]+)", selector)
    selector = re.sub(r"\[[^\]]*\]", "", selector)
    name = r"(?:[\w-]|\\.)+"
    classes = re.findall(rf"\.({name})", selector)
    bare = re.sub(rf"[.#:]{{1,2}}{name}", "", selector)
    return {
        "classes": {text.replace("\\", "") for text in classes},
        "attributes": {*attributes},
        "elements": {*re.findall(r"[a-z][a-z0-9-]*", bare)},
        "values": {*values},
    }


def _without_unused_properties(css: str, own: str) -> str:
    """Take out custom properties that nothing reads, as long as there are."""
    read = set(re.findall(r"var\((--[\w-]+)", css + own))
    value = r"""(?:url\("[^"]*"\)|url\('[^']*'\)|[^;{}])*"""
    smaller = re.sub(
        rf"(?<=[{{;])(--[\w-]+):{value};?(?=[-}}\w])",
        lambda found: found[0] if found[1] in read else "",
        css,
    )
    smaller = re.sub(r"[^{};]+\{\}", "", smaller)
    return css if smaller == css else _without_unused_properties(smaller, own)
