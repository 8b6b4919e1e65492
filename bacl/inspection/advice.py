"""What of a configuration a preset may change, and one part of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """What is configured of a stage."""

    name: str
    epochs: int
    warmup_steps: int


@dataclass(frozen=True)
class Setting:
    """What is configured, as far as the preset may change it."""

    stages: Sequence[Stage]
    batch_size: int
    anchor_scale: float | None
    """None for a detector without such anchors."""
    hallucinated_rows: int | None
    """Of a process' step, c · m; None of a head that has none."""
    chooses: bool
    """Whether the run chooses among heads."""
    decoupled: bool
    """Whether a stage for the classifier follows one for the features."""
    gpu: bool
    processes: int = 1
    """That share the pictures of a step."""


@dataclass(frozen=True)
class Advice:
    """One part of the preset."""

    part: str
    overrides: tuple[str, ...]
    """None of them where what is configured is kept."""
    reason: str
