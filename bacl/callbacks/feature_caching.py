"""Lets a training keep on disk what frozen layers make of its pictures: cache=features."""

from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from bacl.data.augmentation.outcomes import outcomes
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.batch import padded_sides
from bacl.data.datamodule import DetectionDataModule, data_of
from bacl.detectors.kept_features import OVERHEAD, FrozenPart, KeptFeatures, bytes_of
from bacl.detectors.region_detector import COMPUTED, that_sees_pictures
from bacl.files.disk_space import NotEnoughSpaceError, in_words
from bacl.files.shared_room import LimitError, room_in, size_of
from bacl.messages.errors import OptionError
from bacl.options.ranges import Positive, Text
from bacl.stages import DetectionStage
from bacl.stages.freezing import any_trains

NO_PICTURE = np.full((1, 2), 100)
"""Sizes to ask an augmentation with, where it is asked whether it has few outcomes."""


class FeatureCaching(Callback):
    """Keeps the features of a stage's frozen backbone, or of its pyramid where that is frozen too.

    They are what would be computed, on a CPU to the bit, so a run may go on with it or without; on
    a GPU pictures that are computed together differ from that in rounding. Before the first step
    it is told how much of the disk they may take. A stage whose backbone trains keeps nothing.

    Args:
        folder: holds a folder for each extractor.
        gigabytes: that all of them may take; those used longest ago make room.
    """

    def __init__(self, folder: Text, gigabytes: Positive) -> None:
        self.folder = Path(folder)
        self.limit = int(gigabytes * 1e9)
        self._open = ExitStack()
        self._kept: KeptFeatures | None = None

    def check(self, name: str, stage: DetectionStage, augment: Augmentation) -> bool:
        """Whether a stage has features to keep.

        Raises:
            OptionError: its detector's features depend on the rest of a batch, or are computed by
                programs, or its augmentation never makes the same picture again.
        """
        detector = that_sees_pictures(stage.detector, "cache=features")
        if any_trains(detector.backbone):
            return False
        if not detector.each_alone:
            raise OptionError(
                "cache=features: what this detector makes of a picture depends on the size of the "
                "others in its batch: detector.each_alone=true (also the results change a little)"
            )
        if detector.extract is not None:
            raise OptionError(
                "cache=features: each picture goes through the backbone once, layer by layer; "
                "leave compile=… out"
            )
        for purpose, transform in (("train", augment.train), ("test", augment.test)):
            try:
                outcomes(transform, NO_PICTURE)
            except OptionError as error:
                raise OptionError(
                    f"cache=features: stages.{name}.augment.{purpose}: {error}; take another, such "
                    f"as augment@stages.{name}.augment=own_size, or cache=null"
                ) from error
        return True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, once weights are restored and on their device."""
        self._begin(trainer, cast(DetectionStage, pl_module), trains=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same for an evaluation after the training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._begin(trainer, cast(DetectionStage, pl_module), trains=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what was found, and end."""
        self._end(cast(DetectionStage, pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same after an evaluation."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._end(cast(DetectionStage, pl_module))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End."""
        self._end(cast(DetectionStage, pl_module))

    def _begin(self, trainer: Trainer, stage: DetectionStage, trains: bool) -> None:
        detector = that_sees_pictures(stage.detector, "cache=features")
        if any_trains(detector.backbone):
            rank_zero_info("cache=features: the backbone trains in this stage, nothing is kept")
            return
        part = FrozenPart(detector, whole=not any_trains(detector.fpn))
        with trainer.precision_plugin.forward_context():
            probed = part.probed()
        name = part.identity(probed)
        forms = _forms(data_of(trainer), trains)
        needed = OVERHEAD + sum(bytes_of(probed, *size) * n for size, n in forms.items())
        folder, needed = self._room(name, needed, trains)
        rank_zero_info(
            f"cache=features: of {forms.total()} pictures, each size and mirror image counted, "
            f"at most {in_words(needed)} in {self.folder}"
        )
        self._kept = KeptFeatures(part, folder, needed, size_of(folder))
        detector.features = self._kept

    def _room(self, name: str, needed: int, trains: bool) -> tuple[Path, int]:
        """The folder of an extractor, and the bytes that may come to lie in it.

        A training has room for all, or ends before it begins. An evaluation must not end a finished
        training, and its pictures may lie there already: it has what the limit leaves.
        """
        lies = size_of(self.folder / name)
        if not trains:
            with suppress(LimitError, NotEnoughSpaceError):
                return self._opened(name, min(lies + needed, max(lies, self.limit)))
            needed = lies  # others have the rest: what is there is read, and nothing is added
        return self._opened(name, needed)

    def _opened(self, name: str, room: int) -> tuple[Path, int]:
        opened = room_in(self.folder, name, room, self.limit, "cache.gigabytes")
        return self._open.enter_context(opened), room

    def _end(self, stage: DetectionStage) -> None:
        that_sees_pictures(stage.detector, "cache=features").features = COMPUTED
        self._open.close()
        if self._kept is not None:
            rank_zero_info(
                f"cache=features: {self._kept.found} pictures read, {self._kept.computed} computed"
            )
        self._kept = None


def _forms(data: DetectionDataModule, trains: bool) -> Counter[tuple[int, int]]:
    """How many pictures of each padded size may go into the network, at most."""
    forms: Counter[tuple[int, int]] = Counter()
    splits = [(data.val_set, data.augment.test)]
    splits += [(data.train_set, data.augment.train)] if trains else []
    for split, transform in splits:
        for sizes in outcomes(transform, split.table.image_sizes[split.records]):
            forms.update(padded_sides(*size) for size in sizes.tolist())
    return forms
