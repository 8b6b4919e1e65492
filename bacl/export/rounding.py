"""What differs by rounding alone: a model and its file beside the same model in double precision.

Runtimes add up in orders of their own. In a deep network whose numbers cancel, two orders differ by
much, and neither is the right one: then the distance of file and model says how well the model is
conditioned, and nothing of the file.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bacl.assembly.rebuilt import Restored
from bacl.data.batch import Detections
from bacl.detectors.anchors import AnchorGenerator
from bacl.detectors.boxes import BoxCoder
from bacl.export.detection_agreement import Agreement, Tolerance
from bacl.export.trial_batch import compared

IN_FLOAT32 = AnchorGenerator, BoxCoder
"""Boxes are float32 whatever the network computes in."""
FIGURES = "box", "score", "unmatched", "mask"
"""Of an agreement, that are limited."""
SHARES = FIGURES[1:]
"""Of these, in [0, 1]."""
MOST = 0.5
"""Of a share: a model that comes to something else by more says nothing of its file."""


@dataclass(frozen=True)
class Rounding:
    """How far both are from what the model comes to in double precision."""

    model: Agreement
    file: Agreement

    @classmethod
    def of(
        cls,
        exact: Sequence[Sequence[Detections]],
        model: Sequence[Sequence[Detections]],
        file: Sequence[Sequence[Detections]],
    ) -> "Rounding":
        """Of the same batches."""
        return cls(compared(exact, model), compared(exact, file))

    def limits(self, asked: Tolerance) -> Tolerance:
        """Of the file: what is asked, or what the model itself has, times `asked.rounding`.

        Of shares that is half at most, so that a file that finds something else never passes.
        """
        own = {name: asked.rounding * getattr(self.model, name) for name in FIGURES}
        own |= {name: min(own[name], MOST) for name in SHARES}
        return replace(asked, **{name: max(getattr(asked, name), own[name]) for name in FIGURES})

    def problems(self, asked: Tolerance) -> list[str]:
        """Why rounding does not explain what differs, in words; nothing where it does."""
        return self.file.problems(self.limits(asked))

    def line(self) -> str:
        """In one line."""
        told = (
            f"{name} by boxes {each.box:.1e} pixels, scores {each.score:.1e}"
            for name, each in (("the file", self.file), ("the model itself", self.model))
        )
        return f"from the model in double precision differ {', '.join(told)}"

    def plain(self) -> dict[str, Any]:
        """For a json file."""
        return {name: each.plain() for name, each in (("model", self.model), ("file", self.file))}


def in_double_precision(model: Restored) -> Restored:
    """The same model, of float64 numbers; boxes stay what they are."""
    stage = copy.deepcopy(model.stage).double()
    for part in stage.modules():
        if isinstance(part, IN_FLOAT32):
            part.float()
    return replace(model, stage=stage.eval())
