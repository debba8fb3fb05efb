"""The one style sheet and the one script that every page loads.

Material's style sheet and script hold every feature that the theme has. Most of
the style sheet is about things that no page of this book has, and the script
loads the search on every page. The texts made here hold what the pages use of
them, and then our own, from `overrides/`. They are recorded below
`docs/assets/`; `overrides/theme/main.html` names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import material
import tinycss2
from tinycss2.ast import AtRule, Node, QualifiedRule

ASSETS = Path(material.__file__).parent / "templates" / "assets"

# What Material's script adds to our pages: beginnings of class names.
SCRIPTED = (
    "focus-visible",
    "js",
    "md-clipboard",
    "md-code__",
    "md-dialog",
    "md-header",
    "md-nav__link",
    "md-search",
    "md-tabs",
    "md-tooltip2",
    "md-top",
    "md-typeset__",
)


class ThemeError(Exception):
    """The theme is not as this module knows it; the message says where."""


def script(own: str) -> str:
    """Return Material's script, its search loaded on first use, and ours.

    The bar of a copy button becomes a `div`: a page with many programs would
    have as many unnamed landmarks.

    Args:
        own: Our own script.

    Raises:
        ThemeError: If a new release of Material reads otherwise.
    """
    text = _only("javascripts/bundle.*.min.js")
    start = '...me("search").map(e=>_i(e,{index$:zi,keyboard$:mo}))'
    on_first_use = (
        '...me("search").map(e=>L(h(e,"focusin"),Je("search"),'
        "$(/[?&]q=/.test(location.search)),"
        'mo.pipe(g(k=>k.mode==="global"&&["f","s","/"].includes(k.type)),'
        'O(k=>{e.querySelector("input").focus();k.claim()})))'
        ".pipe(Re(Boolean),b(()=>_i(e,{index$:zi,keyboard$:mo}))))"
    )
    highlight = 'V("search.highlight")?'
    if_searched = 'V("search.highlight")&&/[?&]h=/.test(location.search)?'
    copy_button = 'x("nav",{class:"md-code__nav"})'
    no_landmark = 'x("div",{class:"md-code__nav"})'
    for old, new in [
        (start, on_first_use),
        (highlight, if_searched),
        (copy_button, no_landmark),
    ]:
        if text.count(old) != 1:
            raise ThemeError(
                f"overrides/style.py: Material's script has {old!r}"
                f" {text.count(old)} times, not once. Read its new form and"
                " change what is replaced."
            )
        text = text.replace(old, new)
    return re.sub(r"\n//# sourceMappingURL=.*\n?", "\n", text) + own


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
    used = Used(
        classes=_words(re.findall(r'class="([^"]*)"', html)),
        elements={*re.findall(r"<([a-z][a-z0-9-]*)", html), "mark"},
        values={*re.findall(r'[\w-]+="([^"]*)"', html), "copy"},
    )
    kept = ""
    for name in ("stylesheets/main.*.min.css", "stylesheets/palette.*.min.css"):
        text = re.sub(r"\n?/\*#.*?\*/", "", _only(name))
        kept += tinycss2.serialize(
            list(used.rules(tinycss2.parse_stylesheet(text, True, True)))
        )
    small = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", own, flags=re.DOTALL))
    return (
        _without_unused_properties(kept, own + foreign) + small.strip() + "\n"
    )


class Used:
    """The names that the pages use, and the rules that have only such names."""

    def __init__(self, classes: set[str], elements: set[str], values: set[str]):
        self.classes = classes
        self.elements = elements
        self.values = values

    def rules(self, nodes: Iterable[Node]) -> Iterator[Node]:
        for node in nodes:
            if isinstance(node, QualifiedRule):
                selectors = _split(tinycss2.serialize(node.prelude))
                kept = [s for s in selectors if self.matches(s)]
                if kept:
                    node.prelude = tinycss2.parse_component_value_list(
                        ",".join(kept)
                    )
                    yield node
            elif isinstance(node, AtRule) and node.at_keyword in (
                "media",
                "supports",
            ):
                inner = tinycss2.parse_rule_list(node.content, True, True)
                content = list(self.rules(inner))
                if content:
                    node.content = content
                    yield node
            else:
                yield node

    def has(self, name: str) -> bool:
        return name in self.classes or name.startswith(SCRIPTED)

    def matches(self, selector: str) -> bool:
        plain, nested = selector, ""
        while (
            nested != plain
        ):  # the arguments of :not() and :is() may be absent
            nested, plain = plain, re.sub(r":[\w-]+\([^()]*\)", "", plain)
        values = re.findall(r"\[[\w-]+[~|^$*]?=\"?([^\]\"]*)\"?\]", plain)
        plain = re.sub(r"\[[^\]]*\]", "", plain)
        classes = re.findall(r"\.((?:[\w-]|\\.)+)", plain)
        plain = re.sub(r"[.#:]{1,2}(?:[\w-]|\\.)+", "", plain)
        elements = re.findall(r"[a-z][a-z0-9-]*", plain)
        return (
            all(self.has(c.replace("\\", "")) for c in classes)
            and set(elements) <= self.elements
            and set(values) <= self.values
        )


def _only(pattern: str) -> str:
    """The text of the one file of the theme that matches."""
    found = list(ASSETS.glob(pattern))
    if len(found) != 1:
        raise ThemeError(
            f"overrides/style.py: Material has {len(found)} files {pattern},"
            " not one."
        )
    return found[0].read_text("utf-8")


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[\w-]+", text)}


def _split(selectors: str) -> list[str]:
    """The selectors of a list; commas in parentheses do not divide it."""
    return re.split(r",(?![^(]*\))", selectors)


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
