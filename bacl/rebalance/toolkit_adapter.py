"""What adapters share that run another toolkit's detector themselves.

C: categories. D: width of a feature. K: rows of the other toolkit's classifier.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bacl.data.batch import Target
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.options.marks import Free, NamesFile
from bacl.options.ranges import Count, Seed, Text
from bacl.rebalance.adapter import Adapter
from bacl.rebalance.classifier_rows import ClassifierRows, Numbering
from bacl.rebalance.description import Description, Rule
from bacl.rebalance.dump import (
    CLASSIFIER,
    TRAIN,
    VAL,
    Dump,
    check_logits,
    places_missing,
    write_classifier,
    write_missing,
)
from bacl.rebalance.dumped_pictures import counted, pictures, split_of
from bacl.rebalance.image_rows import ImageRows
from bacl.rebalance.other_checkpoint import OtherCheckpoint

APART = 1_000_003
"""Between the seeds of two dumps' images."""


class ToolkitAdapter(Adapter):
    """Reads what a trained detector's classifier sees, and writes another one into its file.

    Args:
        checkpoint: what the toolkit saved: weights by name, alone or as `model` of a dictionary.
        dump: folder of the dump; one that is there is gone on with.
        numbering: what the toolkit numbers classes by, see `Numbering`.
        shard: images of a file of the dump; what is held in memory.
        dtype: of dumped features and deltas; half of them is half as large, and rounds.
        seed: of what is drawn for training rows; the run's own draws do not change a dump.
        device: that the detector runs on; auto takes a GPU where there is one.
    """

    rule: ClassVar[Rule]
    first_row: ClassVar[int]
    """Of the first category, where classes are numbered by their places."""
    background_row: ClassVar[int | None]
    spare_rows: ClassVar[int] = 0
    """That stand for nothing, beside those, where classes are numbered by their places."""
    packages: ClassVar[tuple[str, ...]]
    """Of which the dump notes the versions."""

    def __init__(
        self,
        checkpoint: NamesFile[Text | None],
        dump: Free[Text],
        numbering: Numbering = "positions",
        shard: Free[Count] = 32,
        dtype: Literal["float32", "float16"] = "float32",
        seed: Seed = 0,
        device: Free[Literal["auto", "cpu", "cuda"]] = "auto",
    ) -> None:
        super().__init__(dump)
        self.checkpoint = OtherCheckpoint(checkpoint)
        self.numbering: Numbering = numbering
        self.shard, self.seed = shard, seed
        self.dtype = getattr(torch, dtype)
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(automatic if device == "auto" else device)
        self.mapped: ClassifierRows
        """Set once the data have said what their categories are."""

    @abstractmethod
    def build(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The toolkit's detector, as large as these weights; nothing is fetched."""

    @abstractmethod
    def classifier(self, model: nn.Module) -> nn.Linear:
        """Its classifier's layer."""

    @abstractmethod
    def training_rows(self, image: Tensor, target: Target, seed: int) -> ImageRows:
        """What the classifier sees in training, with labels, and objects seen several times.

        Args:
            image: (3, H, W) uint8, on the device.
            target: its objects, in pixels of it.
            seed: of what is drawn for it.
        """

    @abstractmethod
    def validation_rows(self, image: Tensor, target: Target) -> ImageRows:
        """What the classifier sees in use; of the target only the id is read."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What the rows depend on beside the checkpoint, for dump.json."""
        return {}

    @cached_property
    def model(self) -> nn.Module:
        """The trained detector, in eval mode, on the device.

        Raises:
            OtherCheckpointError: the file is not of such a detector; torch says what differs.
        """
        model = self._loaded(self.checkpoint.weights)
        return model.eval().requires_grad_(False).to(self.device)

    def _loaded(self, weights: Mapping[str, Tensor]) -> nn.Module:
        model = self.build(weights)
        try:
            model.load_state_dict(dict(weights), strict=True)
        except RuntimeError as error:
            told = " ".join(str(error).split())[:300]
            raise self.checkpoint.refusal(
                f"not of this detector: {told} …; is rebalance.builder the one that it was "
                "trained with?"
            ) from error
        return model

    def dump(self, data: DetectionDataModule) -> Dump:
        """See `Adapter.dump`; a kill costs the shards under way."""
        description = self._description(data)
        description.write(self.folder)
        ids, layer = [own for own, _ in description.categories], self.classifier(self.model)
        numbers = self.numbering, self.first_row, self.background_row, self.spare_rows
        self.mapped = ClassifierRows.of(layer.out_features, ids, *numbers)
        parts = [part.detach().float().cpu() for part in (layer.weight, layer.bias)]
        weight, bias = (self.mapped.taken(part) for part in parts)
        write_classifier(self.folder, CLASSIFIER, weight, bias)
        for name, images in ((TRAIN, data.train_set), (VAL, data.val_set)):
            found = self._rows(name, images, description, (weight, bias))
            write_missing(self.folder, name, description.splits[name], found, self.dtype)
        return Dump(self.folder)

    def _description(self, data: DetectionDataModule) -> Description:
        return Description(
            **counted(data),
            feature_dim=self.classifier(self.model).in_features,
            rule=self.rule,
            splits={
                TRAIN: split_of(data.train_set, self.shard),
                VAL: split_of(data.val_set, self.shard),
            },
            source={
                "adapter": type(self).__name__,
                "checkpoint": self.checkpoint.digest,
                "numbering": self.numbering,
                "dtype": str(self.dtype),
                "seed": self.seed,
                **self.options,
                **{name: version(name) for name in ("torch", *self.packages)},
            },
        )

    @torch.no_grad()
    def _rows(
        self,
        name: str,
        images: DetectionDataset,
        description: Description,
        classifier: tuple[Tensor, Tensor],
    ) -> Iterator[ImageRows]:
        """Rows of the images whose shards are missing; each is compared with its logits."""
        places = list(places_missing(self.folder, name, description.splits[name]))
        for place, (image, target) in zip(places, pictures(images, places), strict=True):
            given = image.to(self.device), target
            seed = self.seed * APART + place
            trains = name == TRAIN
            made = self.training_rows(*given, seed) if trains else self.validation_rows(*given)
            rows = ImageRows.of(
                made.image_id, {key: value.cpu() for key, value in made.tensors().items()}
            )
            rows.check(len(description.categories), description.feature_dim, trains)
            if rows.logits is not None:
                check_logits(rows, *classifier)
                rows.logits = None  # a check; the classifier itself is in the dump
            yield rows

    def hand_back(self, folder: Path, weight: Tensor, bias: Tensor) -> Path:
        """The checkpoint with other rows of its classifier, as balanced.pth; all else as it was.

        Raises:
            OtherCheckpointError: the toolkit would not load it.
        """
        layer = self.classifier(self.model)
        (name,) = [each for each, module in self.model.named_modules() if module is layer]
        kept = len(self.mapped.rows)
        whole = self.mapped.put_back(weight[:kept], bias[:kept])
        weights = self.checkpoint.weights
        names = f"{name}.weight", f"{name}.bias"
        pairs = zip(names, whole, strict=True)
        changed = {key: value.to(weights[key]) for key, value in pairs}
        self._loaded({**weights, **changed})
        path = folder / "balanced.pth"
        self.checkpoint.write(path, changed)
        return path
