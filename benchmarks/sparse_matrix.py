"""How far margins by a sparse confusion matrix are from those by the whole one, and its time.

    python benchmarks/sparse_matrix.py [--categories 13204] [--kept 1024] [--steps 60]

Both observe the same steps: 100 objects of 40 classes, each with its own logit highest, those of 20
look-alikes raised and noise on all, so that the rest of a row has no small share. Compared are
log(l_j / l_i) of Eq. 7 of these classes to all others; those beyond 0.01 are what margins are of.
"""

import argparse
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from bacl.indicators import ConfusionMatrix, SparseConfusionMatrix

CLASSES, OBJECTS, ALIKE = 40, 100, 20


def steps(number: int, categories: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (R, C) and labels (R,)."""
    draws = torch.Generator().manual_seed(0)
    chosen = torch.randperm(categories, generator=draws)[:CLASSES]
    alike = chosen[torch.randint(CLASSES, (CLASSES, ALIKE), generator=draws)]
    for _ in range(number):
        places = torch.randint(CLASSES, (OBJECTS,), generator=draws)
        logits = 2 * torch.randn(OBJECTS, categories, generator=draws)
        rows = torch.arange(OBJECTS)
        logits[rows.unsqueeze(1), alike[places]] += 6
        logits[rows, chosen[places]] += 10
        yield logits, chosen[places]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("categories", 13_204), ("kept", 1024), ("steps", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole = ConfusionMatrix(options.categories)
    sparse = SparseConfusionMatrix(options.categories, options.kept)
    seconds = dict.fromkeys((whole, sparse), 0.0)
    for logits, labels in steps(options.steps, options.categories):
        for each in seconds:
            start = time.process_time()
            each.observe(logits, labels)
            each.log_ratio(labels.unique())
            seconds[each] += time.process_time() - start
    classes = whole.counts.nonzero().squeeze(1)
    exact = whole.log_ratio(classes)
    wrong = (sparse.log_ratio(classes) - exact).abs()
    large = exact.abs() > 0.01
    print(f"share of a row beyond the kept entries: at most {float(_lost(sparse).max()):.2f}")
    print(f"error of an entry: at most {float(sparse.error().max()):.1e}")
    print(f"log ratios beyond 0.01: {int(large.sum()):,}, mean {exact.abs()[large].mean():.2f}")
    print(f"wrong by {wrong[large].mean():.4f} in the mean, {wrong.max():.4f} at most")
    times = [1000 * value / options.steps for value in seconds.values()]
    print(f"a step: {times[0]:.0f} CPU ms by the whole matrix, {times[1]:.0f} by the sparse one")


def _lost(sparse: SparseConfusionMatrix) -> Tensor:
    kept = sparse.sums.sum(dim=1, dtype=torch.float64) + sparse.own
    return 1 - kept / sparse.counts.clamp(min=1).double() - (sparse.counts == 0).double()


if __name__ == "__main__":
    main()
