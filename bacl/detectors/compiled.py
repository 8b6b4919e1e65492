"""Pyramids from programs that torch.compile makes of the extractor."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import FunctionType
from typing import Any, Literal

import torch
from torch import Tensor
from torch._functorch import config as functorch

from bacl.detectors.canvases import Canvas
from bacl.detectors.each_alone import Maps
from bacl.detectors.extractors import Extractor
from bacl.detectors.kept_programs import Program
from bacl.detectors.programs import Programs, Shapes

NOT_LATER = "force_non_lazy_backward_lowering"


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
        """See `Programs.make`; torch compiles when the first inputs come, gradients included."""
        program = torch.compile(_own(extractor), dynamic=False, backend=self.backend)
        with _gradients_at_once():
            return program, program(*inputs)

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"backend": self.backend}


def _gradients_at_once() -> AbstractContextManager[Any]:
    """Have torch compile what makes gradients with what makes levels, not when one is asked for.

    What fails there would end the step then; here the step can go on layer by layer.
    """
    if hasattr(functorch, NOT_LATER):  # a switch of torch's own, not in every version
        return functorch.patch(NOT_LATER, True)
    return nullcontext()


def _own(extractor: Extractor) -> Program:
    """The extractor as a function with code of its own.

    Torch counts compilations by code, and compiles no more of one than a few times.
    """

    def levels(*inputs: Tensor) -> Maps:
        return extractor(*inputs)

    code = levels.__code__.replace()
    return FunctionType(code, levels.__globals__, levels.__name__, None, levels.__closure__)
