"""Pyramids from programs, of which one is made for each shape of input, and few are kept.

B: images. H, W: height and width of the network's input.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import torch
from annotated_types import Interval
from torch import Tensor

from bacl.detectors.canvases import Canvas, Canvases, cut
from bacl.detectors.each_alone import Maps
from bacl.detectors.extractors import (
    Extractor,
    FrozenExtractor,
    LiveExtractor,
    learns,
    modes_of,
    state_of,
)
from bacl.detectors.kept_programs import KeptPrograms, Program
from bacl.messages.errors import OptionError, in_one_line

if TYPE_CHECKING:
    from bacl.detectors.any_detector import Detector
    from bacl.detectors.region_detector import RegionDetector

_log = logging.getLogger(__name__)

Shapes = Annotated[int, Interval(ge=1, le=64)]
Made = TypeVar("Made")
Eager = Callable[["RegionDetector", Tensor], Maps]


class Programs(ABC):
    """A detector's `extract`: by a program for each of a few shapes; others as without any.

    What learns is computed by programs of the layers themselves. Of layers that do not, programs
    are made of a copy (`FrozenExtractor`) until a weight is written or moved; then all are made
    anew. What fails while a program is made is told once, and all is computed as without programs
    from then on.

    Args:
        shapes: programs that are kept. One that is asked for beyond these is made once its shape
            has come `patience` times, and takes the place of the one used longest ago.
        canvases: (height, width) of canvases, multiples of 32. Images of a frozen extractor are put
            on the smallest that holds them, and levels are cut back; so there are fewer shapes.
            Images that none holds stay as they are.

    Raises:
        OptionError: a side of a canvas is no multiple of 32.
    """

    patience: ClassVar[int]
    """How often a shape has to come for a program that takes another's place."""
    option: ClassVar[str]
    """How a command asks for such programs, for messages."""

    def __init__(self, shapes: Shapes, canvases: Sequence[Canvas] | None = None) -> None:
        self.shapes = shapes
        self.canvases = Canvases(canvases or ())
        self._kept = KeptPrograms(self.shapes, self.patience)
        self._failed = False
        self._told: set[str] = set()

    def require_canvases(self, detector: "RegionDetector") -> None:
        """Refuse canvases for layers whose features they would change.

        Raises:
            OptionError: canvases for a backbone, or a pyramid, that looks beyond a picture.
        """
        if self.canvases.sides and not (detector.backbone.keeps_zeros and detector.fpn.keeps_zeros):
            raise OptionError(
                f"compile.canvases: {type(detector.backbone).__name__} with "
                f"{type(detector.fpn).__name__} would see the canvas beside the images; leave it "
                "null, or take a ResNet or MobileNetV2 with an FPN"
            )

    def __call__(self, detector: "RegionDetector", images: Tensor, eager: Eager) -> Maps:
        """Levels of images (B, 3, H, W), as `eager` computes them but for rounding."""
        live = learns(detector)
        if self._failed or _followed(images) or not self.serves(images, live):
            return eager(detector, images)
        state = (live, *_precision(images), *state_of(detector, live))
        if state != self._kept.state:
            self.forget()
            self._kept.state = state
        try:
            with nullcontext() if live else _for_any_step():
                found = self._found(detector, images, live)
        except _Refused as refused:
            self._give_up(refused.__cause__)
            found = None
        return eager(detector, images) if found is None else found

    @abstractmethod
    def serves(self, images: Tensor, live: bool) -> bool:
        """Whether there can be a program for such images (B, 3, H, W).

        Args:
            images: of the batch.
            live: whether it would be one of layers that learn.
        """

    @abstractmethod
    def make(self, extractor: Extractor, inputs: Sequence[Tensor]) -> tuple[Program, Maps]:
        """A program that does what the extractor does with inputs of these shapes.

        Args:
            extractor: of the images and, on a canvas, their extent.
            inputs: the first ones.

        Returns:
            What takes inputs and returns levels that nothing writes to any more, and the levels of
            the first inputs.
        """

    def _found(self, detector: "RegionDetector", images: Tensor, live: bool) -> Maps | None:
        if live and self.canvases.sides:
            self.tell("no canvases while backbone or pyramid train; each shape is one of its own")
        kind: Callable[..., Extractor] = LiveExtractor if live else FrozenExtractor
        extractor = self._kept.extractor or _tried(kind, detector)
        self._kept.extractor = extractor
        own = images.clone() if images.is_inference() else images
        inputs = self.canvases.with_room(own) if extractor.takes_canvases else (own,)
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), modes_of(detector)
        levels = self._kept.levels(inputs, modes, partial(_tried, self.make, extractor))
        if levels is None or len(inputs) == 1:
            return levels
        return cut(levels, detector.strides, images.shape[2], images.shape[3])

    def tell(self, what: str) -> None:
        """Say once what keeps a program from being."""
        if what not in self._told:
            self._told.add(what)
            _log.warning("%s: %s", self.option, what)

    def _give_up(self, error: BaseException | None) -> None:
        self.forget()
        self._failed = True
        reason = f"{type(error).__name__}: {in_one_line(error)[:500]}" if error else ""
        self.tell(f"no program could be made ({reason}); all goes on without, as with compile=null")

    def forget(self) -> None:
        """Let all programs go."""
        self._kept = KeptPrograms(self.shapes, self.patience)

    def __deepcopy__(self, memo: dict[int, object]) -> "Programs":
        """None are kept for a copy, nor for a model in another process."""
        return type(self)(**self._options())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self._options())

    def _options(self) -> dict[str, Any]:
        return {"shapes": self.shapes, "canvases": self.canvases.sides}


def learns_no_more(detector: "Detector") -> None:
    """Let programs be made of a copy of layers that have learned, for a model that only detects.

    Args:
        detector: with or without programs; without it stays as it is.
    """
    if isinstance(getattr(detector, "extract", None), Programs):
        for layers in (detector.backbone, detector.fpn):
            layers.requires_grad_(False)


class _Refused(Exception):
    """A program could not be made, for the reason that it comes from."""


def _tried(make: Callable[..., Made], *inputs: Any) -> Made:
    try:
        return make(*inputs)
    except Exception as error:  # of whatever kind a compiler, a driver or an operator raises
        raise _Refused from error


@contextmanager
def _for_any_step() -> Iterator[None]:
    """What is made in an evaluation may serve in a training, too."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def _rebuilt(kind: type[Programs], options: dict[str, Any]) -> Programs:
    return kind(**options)


def _followed(images: Tensor) -> bool:
    """Whether what is done is followed by another, to record it, or back to the images."""
    recorded = images.is_meta or torch.compiler.is_compiling() or torch.jit.is_tracing()
    return recorded or (images.requires_grad and torch.is_grad_enabled())


def _precision(images: Tensor) -> tuple[object, ...]:
    """What a program computes in, and where."""
    kind = images.device.type
    casts = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return images.device, images.dtype, torch.get_autocast_dtype(kind) if casts else None
