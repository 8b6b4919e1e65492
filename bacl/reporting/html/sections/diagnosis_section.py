"""What the numbers say, in the sentences of results.json."""

import json
import re

from bacl.reporting.html.markup import Markup, element, joined, listed
from bacl.reporting.html.section import Content, LeftOut, Section, Source

_CODE = re.compile(r"(?<!\\)`([^`]+)`")
_ESCAPE = re.compile(r"\\([\\`*\[\]<>|~$&_])")


def make(source: Source) -> Content:
    """A point for each sentence."""
    found = json.loads(source.file("results.json").read_bytes()).get("diagnosis")
    if not found:
        raise LeftOut("results.json has none; report.errors=true does")
    return Content(listed(map(sentence, found)))


def sentence(text: str) -> Markup:
    r"""A sentence in Markdown that knows of code and escapes alone.

    >>> print(sentence(r"a\_b: `x=1` & more"))
    a_b: <code>x=1</code> &amp; more
    """
    parts = _CODE.split(text)
    plain = [_ESCAPE.sub(r"\1", part) for part in parts[::2]]
    code = [element("code", part) for part in parts[1::2]]
    pairs = zip(plain, [*code, ""], strict=True)
    return joined(each for pair in pairs for each in pair)


SECTION = Section("diagnosis", "Diagnosis", make)
