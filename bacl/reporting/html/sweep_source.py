"""What the page of many runs reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.reporting.ablation import Ablation


@dataclass(frozen=True)
class SweepSource:
    """Finished runs side by side."""

    folder: Path
    """Of the page, and of the figures of the tables."""
    runs: Path
    """Folder of the runs."""
    tables: Sequence[Ablation]
    environment: Mapping[str, Any]
    """Command, commit and versions of this process."""
