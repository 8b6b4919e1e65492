"""Pictures without annotations, read for detection; what cannot be read is told beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from torch import Tensor, nn
from torch.utils.data import Dataset

from bacl.data.batch import Batch, Target
from bacl.data.collate import Samples, collate
from bacl.data.images.image_folder import FoundImages
from bacl.data.images.picture_file import PictureError, Reading, read_with_traits
from bacl.data.images.tiles import Tiling
from bacl.data.images.traits import Trait
from bacl.data.images.unannotated import without_objects
from bacl.data.images.video_source import Frame


@dataclass(frozen=True)
class Unreadable:
    """A file that gave no picture."""

    name: str
    reason: str


class ReadPicture(NamedTuple):
    """A transformed picture (3, H, W) uint8, its target, and what is worth telling of it."""

    image: Tensor
    target: Target
    traits: Trait
    frame: Frame | None = None
    """Of a video, as it is."""
    stored: Tensor | None = None
    """(3, H, W) uint8, as it is, where it is looked at in tiles, too."""


class PictureDataset(Dataset[ReadPicture | Unreadable]):
    """Pictures with a target that says where they come from and has no objects.

    An item that cannot be read or transformed is an `Unreadable`, so that the others go on. Image
    ids are positions from 1.

    Args:
        found: the pictures.
        transform: a v2 transform of a `Sample`, that of the test.
        reading: how pictures are read; the default shows what a viewer shows.
        tiling: of large pictures, beside the whole.
    """

    def __init__(
        self,
        found: FoundImages,
        transform: nn.Module,
        reading: Reading | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.tiling = tiling
        self.found = found
        self.transform = transform
        self.reading = reading

    def __len__(self) -> int:
        return len(self.found.names)

    def __getitem__(self, index: int) -> ReadPicture | Unreadable:
        """The picture of an index, or why there is none."""
        name = self.found.names[index]
        path = self.found.folder / name
        try:
            stored, traits = read_with_traits(path, self.reading)
        except PictureError as error:
            return Unreadable(name, str(error).removeprefix(f"{path}: "))
        image, target = without_objects(stored, index + 1, self.transform)
        divided = self.tiling is not None and self.tiling.divides(stored)
        return ReadPicture(image, target, traits, stored=stored if divided else None)


@dataclass(frozen=True)
class Collated:
    """The batch of what could be read, None if nothing could; its traits; and the rest."""

    batch: Batch | None
    traits: list[Trait]
    unreadable: list[Unreadable]
    frames: list[Frame] = field(default_factory=list)
    """Where they are of a video."""
    stored: list[Tensor | None] = field(default_factory=list)
    """Each picture of the batch, as it is, if it is looked at in tiles, too."""

    def pin_memory(self) -> "Collated":
        """The same with the batch's images pinned, for asynchronous copies to a GPU."""
        return replace(self, batch=None if self.batch is None else self.batch.pin_memory())


def collate_readable(
    samples: Sequence[ReadPicture | Unreadable],
    put_together: Callable[[Samples], Batch] = collate,
) -> Collated:
    """Put together what could be read of some pictures."""
    good = [sample for sample in samples if isinstance(sample, ReadPicture)]
    bad = [sample for sample in samples if isinstance(sample, Unreadable)]
    batch = put_together([(sample.image, sample.target) for sample in good]) if good else None
    frames = [sample.frame for sample in good if sample.frame is not None]
    traits, stored = [sample.traits for sample in good], [sample.stored for sample in good]
    return Collated(batch, traits, bad, frames, stored)
