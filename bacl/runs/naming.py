"""What names a run: its folder is found again by the same command, on any machine."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from bacl.options.marked import is_free

CHOICES = ("experiment", "trainer", "sweep")
"""Groups whose choice names no folder: an experiment sets `name`, a trainer is hardware, a sweep is
many runs."""
LONGEST = 150  # file systems allow 255 bytes


def variant(overrides: Sequence[str]) -> str:
    """A folder name from command-line overrides, `default` where none of them changes the result.

    >>> variant(["+experiment=bacl_demo", "seed=1", "head.loss.alpha=0.7"])
    'head.loss.alpha=0.7'
    """
    named = sorted(variant_parts(overrides))
    text = re.sub(r"[^A-Za-z0-9_.,=+~@-]+", "_", ",".join(named)) or "default"
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def test_folder(annotations: Path, overrides: Sequence[str]) -> str:
    """A name for the results of job=test on these annotations, with these options."""
    told = f"{annotations.resolve()}{variant(overrides)}"
    return f"test_{annotations.stem}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def variant_parts(overrides: Sequence[str]) -> list[str]:
    """The overrides that change what is learned or how it is judged."""
    keys = ((text, text.split("=")[0].lstrip("+~")) for text in overrides)
    return [text for text, key in keys if key not in CHOICES and not is_free(key)]
