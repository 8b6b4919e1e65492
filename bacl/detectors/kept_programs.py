"""Programs of an extractor, one for each shape of its inputs, of which a few are kept."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence

from torch import Tensor

from bacl.detectors.each_alone import Maps
from bacl.detectors.extractors import Extractor

Program = Callable[..., Maps]


class KeptPrograms:
    """Programs of an extractor in one state.

    A shape gets a program at once while there is room. After that it is given one when it has come
    `patience` times, in the place of the one used longest ago: making one costs what many runs
    without one do.

    Args:
        room: programs at most.
        patience: see above.
    """

    def __init__(self, room: int, patience: int) -> None:
        self.room, self.patience = room, patience
        self.state: tuple[object, ...] = ()
        self.extractor: Extractor | None = None
        self._made: OrderedDict[Hashable, Program] = OrderedDict()
        self._waiting: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._made)

    def levels(
        self,
        inputs: Sequence[Tensor],
        modes: Hashable,
        make: Callable[[Sequence[Tensor]], tuple[Program, Maps]],
    ) -> Maps | None:
        """What the program of the inputs' shape gives; None where it has to wait for one.

        Args:
            inputs: the first of them images (B, 3, H, W).
            modes: in which the extractor computes; each has programs of its own.
            make: a program for inputs of this shape, and what it gives of these.
        """
        shape = (tuple(inputs[0].shape), len(inputs), modes)
        if shape in self._made:
            self._made.move_to_end(shape)
            return self._made[shape](*inputs)
        self._waiting[shape] += 1
        if len(self._made) >= self.room:
            if self._waiting[shape] < self.patience:
                return None
            self._made.popitem(last=False)
        del self._waiting[shape]
        self._made[shape], levels = make(inputs)
        return levels
