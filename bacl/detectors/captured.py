"""Pyramids from CUDA graphs, which start all operators of the extractor in one call.

Never run on a GPU so far: bookkeeping and fallback are tested with a stand-in for the graphs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bacl.detectors.canvases import Canvas
from bacl.detectors.each_alone import Maps
from bacl.detectors.extractors import Extractor
from bacl.detectors.kept_programs import Program
from bacl.detectors.programs import Programs, Shapes

WARM_UP = 3
"""Runs before a graph is captured, in which libraries choose algorithms and get their memory."""


class CapturedExtractor(Programs):
    """CUDA graphs of what needs no gradient; what trains is computed as without.

    A graph computes in memory of its own, which all graphs share. Its input is copied in and its
    levels are copied out, so they stay what they are.

    Args:
        shapes: see `Programs`.
        canvases: see `Programs`.
    """

    patience = 20
    option = "compile=cuda_graphs"

    def __init__(self, shapes: Shapes, canvases: Sequence[Canvas] | None = None) -> None:
        super().__init__(shapes, canvases)
        self._memory: Any = None
        """Torch's handle of the memory that graphs share."""
        self._stream: Any = None
        """Where all are captured, with the working memory that libraries keep for a stream."""

    def serves(self, images: Tensor, live: bool) -> bool:
        """Images on a GPU, where no gradient of the extractor is asked for."""
        if not images.is_cuda:
            self.tell("images are on no GPU, so that there is nothing to capture")
        elif live and torch.is_grad_enabled():
            self.tell("backbone or pyramid train in this stage; what needs a gradient is no graph")
        else:
            return True
        return False

    def make(self, extractor: Extractor, inputs: Sequence[Tensor]) -> tuple[Program, Maps]:
        """See `Programs.make`."""
        with torch.inference_mode(False), torch.no_grad():
            given = [value.clone() for value in inputs]

        def compute() -> Maps:
            with _casts_kept_nowhere(given[0]):
                return extractor(*given)

        replay, levels = self.record(compute, given[0].device)

        def program(*values: Tensor) -> Maps:
            for place, value in zip(given, values, strict=True):
                place.copy_(value)
            replay()
            return tuple(level.clone() for level in levels)

        return program, program(*inputs)

    def forget(self) -> None:
        """Let all graphs and their memory go."""
        super().forget()
        self._memory = self._stream = None

    def record(
        self, compute: Callable[[], Maps], device: torch.device
    ) -> tuple[Callable[[], None], Maps]:
        """What computes once more, and where its levels are found each time."""
        with torch.cuda.device(device):
            beside, current = self._stream or torch.cuda.Stream(), torch.cuda.current_stream()
            self._stream = beside
            if not len(self._kept):  # torch refuses memory of graphs that are all gone
                self._memory = torch.cuda.graph_pool_handle()
            beside.wait_stream(current)
            # Left at the end whatever happens: torch stays in it when a capture fails.
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP):
                    compute()
                graph, levels = self._captured(compute)
            current.wait_stream(beside)
        return graph.replay, levels

    def _captured(self, compute: Callable[[], Maps]) -> tuple[torch.cuda.CUDAGraph, Maps]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile, as one that pins the memory of batches does.
        with torch.cuda.graph(
            graph, pool=self._memory, stream=self._stream, capture_error_mode="thread_local"
        ):
            levels = compute()
        return graph, levels


def _casts_kept_nowhere(images: Tensor) -> torch.autocast:
    """Autocast as it is, but for its memory of cast weights, which no graph may read from."""
    kind = images.device.type
    wanted, precision = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    return torch.autocast(kind, precision, enabled=wanted, cache_enabled=False)
