"""A trained model as a function of pictures."""

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Self, overload

import torch
from torch import Tensor

from bacl.assembly.accepting import acceptance
from bacl.assembly.rebuilt import Restored, restore_alone
from bacl.checkpoints.score_thresholds import ScoreThresholds
from bacl.data.collate import collate
from bacl.data.images.unannotated import without_objects
from bacl.detectors.acceptance import Acceptance
from bacl.inference.computing import as_in_a_job, generators_kept
from bacl.inference.picture_detections import Category, PictureDetections
from bacl.inference.pictures import Picture, pixels
from bacl.messages.errors import OptionError, in_one_line, require
from bacl.options.ranges import Threshold
from bacl.stages.detection import detect

if TYPE_CHECKING:
    from bacl.inference.streams import StreamedFrame


def load(path: str | PathLike[str], head: str | None = None) -> "Model":
    """A trained model from the `final.ckpt` of a stage, on the CPU.

    The file is all that is needed. It is data: nothing in it is executed, and what it says of its
    model may only name this package's own classes.

    Args:
        path: of the file.
        head: which of its classifier heads detects; None takes the first, whose AP its run reports.

    Raises:
        UserError: in one line, what is wrong with the file (`CheckpointError`,
            `StoredConfigurationError`), or that it has no such head (`OptionError`).
    """
    with generators_kept():
        restored = restore_alone(Path(path))
    return Model(restored, head)


class Model:
    """Finds objects in pictures: `model("photo.jpg", threshold=0.5)`.

    Made by `load`. It detects what `job=predict` detects, with the same transform, reading of
    pictures and suppression, all of which the checkpoint brings.
    """

    def __init__(self, restored: Restored, head: str | None = None) -> None:
        self.restored = restored
        """Stage, configuration and categories, for what is beyond detecting."""
        self.head = self.heads[0] if head is None else head

    @property
    def path(self) -> Path:
        """Of the checkpoint."""
        return self.restored.path

    @property
    def heads(self) -> list[str]:
        """Names of the classifier heads."""
        return list(self.restored.stage.heads)

    @property
    def head(self) -> str:
        """The head that detects; set another one's name to change it.

        Raises:
            OptionError: there is no such head.
        """
        return self._head

    @head.setter
    def head(self, head: str) -> None:
        self._head = self.restored.known_head(head, "head")

    @property
    def categories(self) -> list[Category]:
        """C categories, by label."""
        known = self.restored.categories
        return [Category(*each) for each in zip(known.ids, known.names, strict=True)]

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.restored.stage.device

    def to(self, device: torch.device | str | int) -> Self:
        """Move the model, and return it.

        Args:
            device: as PyTorch names it, such as "cuda".

        Raises:
            OptionError: PyTorch knows no such device here.
        """
        try:
            self.restored.stage.to(device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA raises the latter
            raise OptionError(f"device={device}: {in_one_line(error)}") from error
        return self

    @overload
    def __call__(
        self,
        pictures: list[Picture] | tuple[Picture, ...],
        threshold: Threshold = ...,
        batch_size: int | None = ...,
        one_label: bool = ...,
    ) -> list[PictureDetections]: ...

    @overload
    def __call__(
        self,
        pictures: Picture,
        threshold: Threshold = ...,
        batch_size: int | None = ...,
        one_label: bool = ...,
    ) -> PictureDetections: ...

    def __call__(
        self,
        pictures: Picture | list[Picture] | tuple[Picture, ...],
        threshold: Threshold = 0.0,
        batch_size: int | None = None,
        one_label: bool = False,
    ) -> PictureDetections | list[PictureDetections]:
        """Detect objects in a picture, or in each of a list of them.

        Args:
            pictures: one picture, or a list or tuple. A picture is the path of a file, a Pillow
                image, an array (H, W, 3) or a tensor (3, H, W), both uint8 RGB in [0, 255].
            threshold: detections of a lower score are left out; 0 gives all that the model's
                suppression keeps, which is what its evaluation judges. Or the thresholds that the
                evaluation chose: "global", "per_group" or "per_category".
            batch_size: pictures of a list that go through the network together, and are in memory;
                None takes as many as in the evaluation of its run. Other batches round differently.
            one_label: of overlapping detections of any categories the best alone is taken, so that
                an object has one category; see `bacl.detectors.acceptance.Acceptance`.

        Returns:
            Detections of the picture, or a list with those of each, in order.

        Raises:
            PictureError: names the file that is missing, broken or too large.
            OptionError: an array of another shape or type, a value that makes no sense, or
                thresholds that the checkpoint does not have.
        """
        accept = acceptance(self.restored, self.head, threshold, one_label, "threshold")
        if not isinstance(pictures, list | tuple):
            return self._detected([pictures], accept)[0]
        size = self.batch_size if batch_size is None else batch_size
        require("batch_size", size, 1)
        batches = (pictures[start : start + size] for start in range(0, len(pictures), size))
        return [found for batch in batches for found in self._detected(batch, accept)]

    def stream(
        self,
        source: str | PathLike[str] | int,
        threshold: Threshold = 0.0,
        batch_size: int = 1,
        one_label: bool = False,
    ) -> Iterator["StreamedFrame"]:
        """Detect objects in the frames of a video, one after the other.

        Nothing is read before the first frame is asked for, and the video is closed when the
        generator is. Of a live source (a camera, an address without an end) the newest frame is
        taken, whenever the program asks, and others are passed over.

        Args:
            source: a video file, a camera's number, or an address such as "rtsp://…".
            threshold: as in a call.
            batch_size: frames of a file that go through the network together: more of them are
                faster on a GPU.
            one_label: as in a call.

        Yields:
            number, seconds, picture (H, W, 3) uint8 RGB and detections of each frame.

        Raises:
            PictureError: the video is missing or cannot be opened.
            OptionError: a value that makes no sense, or thresholds that the checkpoint does not
                have.
        """
        from bacl.inference.streams import streamed  # loads OpenCV

        require("batch_size", batch_size, 1)
        accept = acceptance(self.restored, self.head, threshold, one_label, "threshold")
        place = source if isinstance(source, int) else str(source)
        return streamed(place, lambda pictures: self._detected(pictures, accept), batch_size)

    @property
    def batch_size(self) -> int:
        """Images of a batch in the evaluation of its run."""
        return self.restored.config.get("datamodule", {}).get("val_batch_size", 1)

    @property
    def thresholds(self) -> ScoreThresholds | None:
        """Of the head's scores, as its evaluation chose them; None where there are none."""
        return self.restored.thresholds.get(self.head)

    def _detected(self, pictures: Sequence[Picture], accept: Acceptance) -> list[PictureDetections]:
        """Detections of one batch."""
        transform, stage = self.restored.augmentation.test, self.restored.stage
        read = [pixels(picture, self.restored.reading) for picture in pictures]
        batch = collate([without_objects(each, 0, transform) for each in read]).to(self.device)
        with as_in_a_job():
            heads = {self.head: stage.live_heads[self.head]}
            found = detect(stage.detector, heads, batch)[self.head]
        categories = self.categories
        return [
            PictureDetections.of(accept(each), categories, _size(picture))
            for each, picture in zip(found, read, strict=True)
        ]

    def __repr__(self) -> str:
        return (
            f"<bacl.Model {self.path}: head {self.head} of {', '.join(self.heads)}, "
            f"{len(self.categories)} categories, on {self.device}>"
        )


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[1], picture.shape[2]
