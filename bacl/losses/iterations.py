"""What changes with the iterations of a refinement: it is told of them, and counts none itself."""

from abc import ABC, abstractmethod


class FollowsIterations(ABC):
    """A loss that judges the logits of several iterations of one step, each in its own way.

    A classifier that refines its features tells it before each iteration's loss. One that does not
    has a single iteration, the last.
    """

    @abstractmethod
    def begin_iteration(self, share: float) -> None:
        """An iteration of the step begins.

        Args:
            share: of the iterations that lie behind it among those before the last: 0 of the
                first, 1 of the last.
        """
