"""What names a run: its folder is found again by the same command, on any machine."""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from bacl.options.marked import is_free, options_with
from bacl.options.marks import NAMES_NO_FOLDER

LONGEST = 150  # file systems allow 255 bytes
KEY = r"[a-zA-Z][\w.]*(@[\w.]+)?"
SAID = re.compile(rf"\+{{0,2}}{KEY}=[\w.+-]*|~{KEY}", re.ASCII)
"""Overrides that a name says to the letter."""
BETWEEN = "__"


def variant(overrides: Sequence[str]) -> str:
    """A folder name from command-line overrides, `default` where none of them changes the result.

    It needs quotes neither in a shell nor, as part of a path, for Hydra. `=` is a minus, `@` is a
    plus, and `~` is `no.`; other lists of overrides have other names, if need be by a digest.

    >>> variant(["+experiment=bacl_demo", "seed=1", "head.loss.alpha=0.7"])
    'head.loss.alpha-0.7'
    >>> variant(["head.loss.alpha=0", "fhm@head.hallucination=none"])
    'fhm+head.hallucination-none__head.loss.alpha-0'
    """
    parts = sorted(variant_parts(overrides))
    text = BETWEEN.join(map(_spelt, parts)) or "default"
    said = all(SAID.fullmatch(part) and BETWEEN not in part for part in parts)
    if said and len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    return f"{text[:LONGEST]}{BETWEEN}{digest}"


def test_folder(annotations: Path, overrides: Sequence[str]) -> str:
    """A name for the results of job=test on these annotations, with these options."""
    # Also what a run may go on with, as a limit of images, makes other results.
    told = json.dumps([str(annotations.resolve()), *sorted(overrides)])
    return f"test_{annotations.stem}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def variant_parts(overrides: Sequence[str]) -> list[str]:
    """The overrides that change what is learned or how it is judged."""
    choices = options_with(NAMES_NO_FOLDER)
    return [text for text in overrides if not _names_nothing(text, choices)]


def _names_nothing(override: str, choices: Collection[str]) -> bool:
    """Whether an override changes neither what is learned nor how it is judged."""
    group, _, place = override.split("=")[0].lstrip("+~").partition("@")
    return group in choices or is_free(place or group)


def _spelt(override: str) -> str:
    key, equals, value = override.partition("=")
    text = key.replace("~", "no.").replace("@", "+") + equals.replace("=", "-") + value
    return re.sub(r"[^\w.+-]+", "_", re.sub(r"[][{}()'\"]+", "", text), flags=re.ASCII)
