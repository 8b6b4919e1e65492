"""What is chosen for an option, and why."""

from dataclasses import dataclass
from typing import Any

PAPER = "as in the paper"
"""The reason for a number of its."""


@dataclass(frozen=True)
class Chosen:
    """The value of an option, and why."""

    value: Any
    reason: str
