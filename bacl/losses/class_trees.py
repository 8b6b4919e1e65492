"""Trees of classes: each groups the classes of a data set under parents (Forest R-CNN, 2020).

C: foreground classes. T: trees.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bacl.files.atomic import replacing
from bacl.messages.errors import OptionError, in_one_line

ROUNDS = 100
"""Of k-means at most; it ends where no point changes its cluster."""


def read_trees(path: Path, parents: Sequence[int], num_classes: int) -> np.ndarray:
    """(T, C) int64 parents of the classes, from a json file.

    The file has a list for each tree. Of one that goes by the published format, a pair of lists of
    C + 1 numbers with background last, the first is read and background left out.

    Args:
        path: of the file.
        parents: of each tree, T numbers.
        num_classes: C.

    Raises:
        OptionError: no such file, or another number of trees, classes or parents.
    """
    try:
        trees = json.loads(path.read_text(encoding="utf-8"))
        rows = [tree[0] if isinstance(tree[0], list) else tree for tree in trees]
        found = np.array([row[:num_classes] for row in rows])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OptionError(f"{path}: no trees of classes: {in_one_line(error)}") from error
    asked = (len(parents), num_classes)
    if found.shape != asked or found.dtype.kind != "i":
        raise OptionError(
            f"{path}: numbers of shape {found.shape}, where parents={list(parents)} asks for "
            f"{asked[0]} lists with the parent of each of {asked[1]} classes"
        )
    if (found < 0).any() or (found >= np.array(parents)[:, None]).any():
        raise OptionError(f"{path}: a parent is not in [0, parents), for parents={list(parents)}")
    return found


def write_trees(path: Path, trees: Sequence[np.ndarray]) -> None:
    """Write trees, (C,) each, as `read_trees` reads them."""
    with replacing(path) as temporary:
        text = json.dumps([tree.tolist() for tree in trees])
        temporary.write_text(f"{text}\n", encoding="utf-8")


def clustered(points: np.ndarray, parents: int, seed: int) -> np.ndarray:
    """(C,) int64 in [0, parents): a tree by k-means of the classes' points (C, X).

    Points may be anything that is alike for classes that are: mean shapes, or rows of a classifier.
    Each coordinate counts by its standard deviation. The first centres are drawn as in k-means++.

    Args:
        points: (C, X).
        parents: clusters at most; some may stay empty.
        seed: of the first centres.
    """
    points = points - points.mean(axis=0)
    points = points / points.std(axis=0).clip(min=np.finfo(float).tiny)
    centres = _first_centres(points, min(parents, len(points)), np.random.default_rng(seed))
    own = np.full(len(points), -1)
    for _ in range(ROUNDS):
        nearest = _distances(points, centres).argmin(axis=1)
        if (nearest == own).all():
            break
        own = nearest
        sizes = np.bincount(own, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, own, points)
        centres = np.where(sizes[:, None] > 0, sums / sizes.clip(min=1)[:, None], centres)
    return own


def _first_centres(points: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """(count, X) points, each drawn in proportion to its squared distance from those before."""
    chosen = [int(draws.integers(len(points)))]
    nearest = _distances(points, points[chosen])[:, 0]
    for _ in range(count - 1):
        total = nearest.sum()
        weights = nearest / total if total > 0 else None
        chosen.append(int(draws.choice(len(points), p=weights)))
        nearest = np.minimum(nearest, _distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(C, K) squared distances."""
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return (squares - 2 * points @ centres.T).clip(min=0)
