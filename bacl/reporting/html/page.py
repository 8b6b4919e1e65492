"""One file that opens by a double click: style, scripts, data and pictures are inside.

A policy in its head forbids the browser to fetch anything, and to run any script but its own.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from bacl.files.atomic import replacing
from bacl.messages.dispensable import Dispensable
from bacl.reporting.group_colours import HEAD, TAIL
from bacl.reporting.html.markup import Markup, element, escaped, joined
from bacl.reporting.html.section import Content, LeftOut, Section

SCRIPTS = (
    *("page", "tables", "charts", "curves", "category_table", "pictures", "category_page"),
    "start",
)
"""In this order one module."""
_ASSETS = files("bacl.reporting.html") / "assets"


@dataclass(frozen=True)
class Page:
    """Sections below a title."""

    title: str
    subtitle: str
    sections: Sequence[Section]

    def write(self, path: Path, source: Any) -> None:
        """Write the page as a whole or not at all; a section that fails is told and left out.

        Raises:
            UnwritableError: names the file and what is to be done.
        """
        made, absent, data = self._contents(path, source)
        with replacing(path) as temporary:
            temporary.write_text(self._html(made, absent, data), encoding="utf-8")

    def _contents(
        self, path: Path, source: Any
    ) -> tuple[dict[Section, Content], dict[Section, str], list[Markup]]:
        """What sections are made of, why others are left out, and the data of the former."""
        made, absent, data = {}, {}, []
        with Dispensable(f"{path}: left out") as parts:
            for section in self.sections:
                absent[section] = "it could not be made; the log says why"
                with parts.part(section.title):
                    try:
                        content = section.make(source)
                        data.append(embedded(section.key, content.data))  # or no page can hold it
                        made[section] = content
                        del absent[section]
                    except LeftOut as why:
                        absent[section] = str(why)
        return made, absent, data

    def _html(
        self,
        made: Mapping[Section, Content],
        absent: Mapping[Section, str],
        data: Sequence[Markup],
    ) -> str:
        style = asset("page.css") + _group_colours()
        script = "\n".join(asset(f"{name}.js") for name in SCRIPTS)
        shown = {section: content for section, content in made.items() if content.body}
        links = [element("a", each.title, href=f"#{each.key}") for each in shown]
        return Template(asset("page.html")).substitute(
            policy=policy(style, script),
            title=escaped(self.title),
            subtitle=escaped(self.subtitle),
            style=style,
            script=script,
            links=joined(element("li", link) for link in links),
            sections=joined((_section(*pair) for pair in shown.items()), "\n"),
            absent=_absent(absent),
            data=joined(data, "\n"),
        )


def asset(name: str) -> str:
    """A file of the page."""
    return (_ASSETS / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """Content security policy: nothing is fetched, and nothing but our own script is run."""
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def embedded(key: str, data: Mapping[str, Any]) -> Markup:
    r"""Data as JSON in a block that no text in them can leave.

    >>> print(embedded("x", {"name": "</script>"}))
    <script type="application/json" id="data-x">{"name":"\u003c/script\u003e"}</script>
    """
    if not data:
        return Markup("")
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(f'<script type="application/json" id="data-{escaped(key)}">{text}</script>')


def _section(section: Section, content: Content) -> Markup:
    heading = element("h2", section.title, id=f"{section.key}-title", tabindex="-1")
    return element(
        "section", heading, content.body, id=section.key, aria_labelledby=f"{section.key}-title"
    )


def _absent(absent: Mapping[Section, str]) -> Markup:
    if not absent:
        return Markup("")
    told = "; ".join(f"{section.title} ({why})" for section, why in absent.items())
    return element("p", f"Left out: {told}.", class_="note absent")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _group_colours() -> str:
    """The colours of the figures, for the page's groups."""
    named = {f"tail-{place}": shade for place, shade in enumerate(TAIL)} | {"head-group": HEAD}
    return "".join(f".{name} {{ --shade: {shade.colour}; }}\n" for name, shade in named.items())
