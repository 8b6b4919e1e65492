"""What of a trained detector a new one starts from, part by part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.category_rows import boxes_by_category, masks_by_category
from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.trained_detector import TrainedDetector
from bacl.detectors.any_detector import Detector
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.mask_head import PlainMaskPredictor
from bacl.files.state_dicts import not_finite, several, unusable

COUNTER = "num_batches_tracked"
"""End of names that a file may lack."""
OPTION = "detector.init_from"
Make = Callable[[Tensor], Tensor | None]


@dataclass
class DetectorStart:
    """Tensors for a detector, by its names, and what is made of none."""

    state: dict[str, Tensor] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why, by name."""
    lacking: list[str] = field(default_factory=list)
    """Of the detector, which stay as they were drawn."""

    @classmethod
    def of(
        cls, detector: Detector, trained: TrainedDetector, match: CategoryMatch
    ) -> "DetectorStart":
        """Compare a trained detector with one that is to start from it; nothing is loaded.

        Args:
            detector: may be without numbers.
            trained: of any categories.
            match: of the categories.
        """
        own, start = detector.state_dict(), cls(left_out=dict(trained.left_out))
        makers = dict(_makers(detector, trained, match))
        for key, theirs in trained.detector.items():
            if key not in own:
                start.left_out[key] = "this detector has no such part"
            elif own[key].dtype == torch.bool:
                start.left_out[key] = "says something of its own categories"
            elif key in makers:
                start._make(key, theirs, makers[key])
            elif told := unusable(theirs, own[key], key, converts=True):
                start.left_out[key] = told
            else:
                start.state[key] = theirs
        found = start.state
        start.lacking = [k for k in own if k not in found and not k.endswith(COUNTER)]
        return start

    def _make(self, key: str, theirs: Tensor, make: Make) -> None:
        made, told = None, not_finite(theirs)
        if told is None:
            made = make(theirs)
        if made is None:
            self.left_out[key] = told or f"is {tuple(theirs.shape)}, which does not fit"
        else:
            self.state[key] = made

    def takes_all(self, beginning: str) -> bool:
        """Whether there are tensors whose names begin so, and all are made of the trained one's."""
        taken = any(key.startswith(beginning) for key in self.state)
        return taken and not any(key.startswith(beginning) for key in self.lacking)

    def check(self, detector: Detector, trained: TrainedDetector, source: str) -> None:
        """Refuse a start that is none: of another backbone, or without what does not train.

        Args:
            detector: that is to start.
            trained: that it starts from.
            source: what the command names, for the message.

        Raises:
            CheckpointError: with the options that take all of the file.
        """
        fixed = {name for name, value in detector.named_parameters() if not value.requires_grad}
        needed = [k for k in self.lacking if k.startswith("backbone.") or k in fixed]
        if needed:
            told = several([f"{key} {self.left_out.get(key, 'is not there')}" for key in needed])
            raise CheckpointError(
                f"{OPTION}={source}: {trained.told}, which does not fit this one: its backbone, or "
                f"what is frozen, would stay as drawn ({told}); take {trained.suggestion}"
            )


def _makers(
    detector: Detector, trained: TrainedDetector, match: CategoryMatch
) -> Iterator[tuple[str, Make]]:
    """What makes the tensors that depend on categories, by name."""
    own = detector.state_dict()
    for name, module in detector.named_modules():
        if isinstance(module, BoxRegression):
            for key in (f"{name}.fc.weight", f"{name}.fc.bias"):
                yield (
                    key,
                    partial(
                        boxes_by_category,
                        own=own[key],
                        match=match,
                        class_agnostic=module.class_agnostic,
                    ),
                )
        if isinstance(module, PlainMaskPredictor):
            for key in (f"{name}.weight", f"{name}.bias"):
                fits = type(module) is trained.mask_predictor
                made = partial(masks_by_category, own=own[key], match=match)
                yield key, made if fits else _nothing


def _nothing(theirs: Tensor) -> None:
    """Of a layer of another kind."""
