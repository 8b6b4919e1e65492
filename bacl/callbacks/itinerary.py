"""The stages of a run, and the time that is left of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Itinerary:
    """The stages of a run, of which one is under way."""

    number: int
    """Of the stage under way, from 0."""
    epochs: Sequence[int]
    """Of each stage."""

    @property
    def stage(self) -> str:
        """Which one this is; empty where there is but one."""
        return f"stage {self.number + 1} of {len(self.epochs)}" if len(self.epochs) > 1 else ""

    def left(self, seconds: float, steps: int, steps_left: int) -> str:
        """The time that is left of this stage and, before the last one, of the training.

        That of the later ones is but about right: their epochs are taken to be like those of this
        one.

        Args:
            seconds: of a step.
            steps: of the stage.
            steps_left: of them.

        >>> Itinerary(0, [6, 3]).left(0.5, 120, 60)
        '0:00:30 (of all stages about 0:01:00)'
        """
        here = seconds * steps_left
        left = str(timedelta(seconds=round(here)))
        later = sum(self.epochs[self.number + 1 :]) / self.epochs[self.number] * steps * seconds
        about = timedelta(seconds=round(here + later))
        return f"{left} (of all stages about {about})" if later else left
