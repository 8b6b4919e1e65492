"""What changes with the epochs of a training: it is told of them, and counts none itself."""

from abc import ABC, abstractmethod


class FollowsEpochs(ABC):
    """A part of a head (loss, predictor, added features) that changes with the epochs of its stage.

    The stage tells it before the first step of every epoch, also in a run that is resumed within
    one: what depends on the epoch alone is set anew, and nothing is counted here.
    """

    @abstractmethod
    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """An epoch begins, or goes on.

        Args:
            epoch: number of epochs that the stage has finished, from 0.
            epochs: of the whole stage.
        """
