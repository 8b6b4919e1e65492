"""Pyramids from programs that torch.compile makes of the extractor."""

from collections.abc import Sequence
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor

from bacl.detectors.canvases import Canvas
from bacl.detectors.each_alone import Maps
from bacl.detectors.extractors import Extractor
from bacl.detectors.kept_programs import Program
from bacl.detectors.programs import Programs, Shapes


class CompiledExtractor(Programs):
    """Programs of torch.compile, with gradients where layers learn.

    Each is compiled for one shape, which takes some ten seconds to minutes when it first comes,
    and rounds otherwise than the operators one by one.

    Args:
        shapes: see `Programs`.
        canvases: see `Programs`.
        backend: of torch.compile. Beside inductor there are two that compile nothing: "eager" only
            records the operators, "aot_eager" their gradients too.
    """

    patience = 1000
    option = "compile=inductor"

    def __init__(
        self,
        shapes: Shapes,
        canvases: Sequence[Canvas] | None = None,
        backend: Literal["inductor", "aot_eager", "eager"] = "inductor",
    ) -> None:
        super().__init__(shapes, canvases)
        self.backend = backend

    def serves(self, images: Tensor, live: bool) -> bool:
        """All images."""
        return True

    def make(self, extractor: Extractor, inputs: Sequence[Tensor]) -> tuple[Program, Maps]:
        """See `Programs.make`; torch compiles when the first inputs come."""
        program = torch.compile(_own(extractor), dynamic=False, backend=self.backend)
        return program, program(*inputs)

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"backend": self.backend}


def _own(extractor: Extractor) -> Program:
    """The extractor as a function with code of its own.

    Torch counts compilations by code, and compiles no more of one than a few times.
    """

    def levels(*inputs: Tensor) -> Maps:
        return extractor(*inputs)

    code = levels.__code__.replace()
    return FunctionType(code, levels.__globals__, levels.__name__, None, levels.__closure__)
