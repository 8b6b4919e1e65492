"""Names in figures: in a font that has their letters, or as the letters' codes."""

import re
from collections.abc import Iterable
from functools import cache

import matplotlib
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FT2Font

from bacl.messages.shown import shown

FONT = "DejaVu Sans"
"""Comes with matplotlib: the same look everywhere."""
LONGEST = 40
"""Characters of a name in a figure."""
_PLACEHOLDERS = "Last Resort"
"""A font with a box for every letter there is."""


def label(name: str, longest: int = LONGEST) -> str:
    """A name as a figure can show it; called in a figure that is `styled`.

    A letter that the figures' font lacks is taken from another installed font, which the texts of
    this figure may use from then on. Where none has it, its code stands there, as U+732B.
    """
    text = shown(name, longest)
    own = _letters(findfont(FONT))
    families = {letter: _family(letter) for letter in text if ord(letter) not in own}
    _allow(family for family in families.values() if family)
    lacking = {letter for letter, family in families.items() if family is None}
    return shown(_with_codes(text, lacking), longest) if lacking else text


def drawable(name: str, longest: int = LONGEST) -> tuple[str, str]:
    """A name as it can be drawn in one font, and the file of that font.

    Where no installed font has all its letters, codes stand for those that the figures' font lacks.
    """
    text, own = shown(name, longest), findfont(FONT)
    lacking = [letter for letter in text if ord(letter) not in _letters(own)]
    for family in filter(None, map(_family, lacking[:1])):
        file = findfont(family)
        if all(ord(letter) in _letters(file) for letter in text):
            return text, file
    return (shown(_with_codes(text, set(lacking)), longest) if lacking else text), own


def legend_label(name: str) -> str:
    """As `label`, for a legend: it leaves out what begins with an underscore."""
    text = label(name)
    return f" {text}" if text.startswith("_") else text


def _with_codes(text: str, lacking: set[str]) -> str:
    """The text with codes in place of letters, which are apart from what is around them."""
    spaced = (f" U+{ord(each):04X} " if each in lacking else each for each in text)
    return re.sub(" {2,}", " ", "".join(spaced)).strip()


def _allow(families: Iterable[str]) -> None:
    """Let the texts that this figure gets from now on use fonts, behind those they use already."""
    known = matplotlib.rcParams["font.family"]
    matplotlib.rcParams["font.family"] = list(dict.fromkeys([*known, *families]))


@cache
def _letters(path: str) -> frozenset[int]:
    """The letters of a font file; none of one that cannot be read."""
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _family(letter: str) -> str | None:
    """An installed font family that has a letter, upright ones of usual weight first."""
    entries = sorted(fontManager.ttflist, key=_unusual)
    fonts = (font for font in entries if not font.name.startswith(_PLACEHOLDERS))
    return next((font.name for font in fonts if ord(letter) in _letters(font.fname)), None)


def _unusual(font: FontEntry) -> tuple[bool, bool, str]:
    return font.style != "normal", font.weight not in (400, "normal", "regular"), font.name
