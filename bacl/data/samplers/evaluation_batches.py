"""Batches of an evaluation: every image once, and as many for each process."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from bacl.data.samplers.batches import SampledImages


class EvaluationBatches(Sampler[list[int]]):
    """Every image over all processes, in batches of indices.

    Every process gets equally many, so that all of them take the same steps and none waits for
    another: where the images do not divide evenly, a later process is given some of the first
    process' again, which the metrics count once. Batches hold images of similar aspect ratio, which
    saves padding; with `batch_size` 1 the order is the file's.

    Args:
        dataset: the images.
        batch_size: images of a batch of one process.
        num_processes: processes that evaluate together.
        process: index of this process.
    """

    def __init__(
        self, dataset: SampledImages, batch_size: int, num_processes: int = 1, process: int = 0
    ) -> None:
        self.batch_size = batch_size
        order = np.arange(len(dataset))
        if batch_size > 1:
            order = np.argsort(dataset.aspect_ratios, kind="stable")
        whole = -(-len(order) // num_processes) * num_processes
        self._order = np.resize(order, whole)[process::num_processes]

    def __len__(self) -> int:
        """Batches of this process."""
        return -(-len(self._order) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """This process' batches."""
        starts = range(0, len(self._order), self.batch_size)
        return (self._order[start : start + self.batch_size].tolist() for start in starts)
