"""What a training step takes, and the training as a whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepTimes:
    """Of one stage on one device."""

    stage: str
    seconds: float
    """Of a step, with the wait for its batch."""
    waiting: float
    """Of them, for the batch."""
    steps: int
    """How many were timed."""
    images: int
    """Of a step on this device."""
    steps_per_epoch: int
    epochs: int
    memory_mib: float | None
    """Peak: what torch reserved on the GPU, else of this process; None where it is not known."""
    device: str

    @property
    def hours(self) -> float:
        """Of all steps of the stage, without evaluations."""
        return self.seconds * self.steps_per_epoch * self.epochs / 3600
