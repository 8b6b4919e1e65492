"""Trees of classes: each groups the classes of a data set under parents (Forest R-CNN, 2020).

C: foreground classes. T: trees.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bacl.files.atomic import replacing
from bacl.messages.errors import OptionError, in_one_line

ROUNDS = 100
"""Of k-means at most; it ends where no point changes its cluster."""
BLOCK = 2**22
"""Distances that are in memory at once."""


def read_trees(path: Path, parents: Sequence[int], num_classes: int) -> np.ndarray:
    """(T, C) int64 parents of the classes, from a json file.

    The file has a list of C numbers for each tree. One that goes by the published format is a pair
    of lists, of which the first is read; it may have C + 1 numbers, the last of which is the parent
    that background has for itself, and left out.

    Args:
        path: of the file.
        parents: of each tree, T numbers.
        num_classes: C.

    Raises:
        OptionError: no such file, another number of trees, a tree of other classes, or a parent out
            of range.
    """
    try:
        trees = json.loads(path.read_text(encoding="utf-8"))
        if len(trees) != len(parents):
            raise OptionError(
                f"{path}: has {len(trees)} trees, where parents={list(parents)} asks for "
                f"{len(parents)}"
            )
        pairs = enumerate(zip(trees, parents, strict=True))
        rows = [_row(tree, own, num_classes, f"{path}: tree {n}") for n, (tree, own) in pairs]
        found = np.array(rows)
    except OptionError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OptionError(f"{path}: no trees of classes: {in_one_line(error)}") from error
    if found.shape != (len(parents), num_classes) or found.dtype.kind != "i":
        raise OptionError(f"{path}: a parent is no whole number")
    if (found < 0).any() or (found >= np.array(parents)[:, None]).any():
        raise OptionError(f"{path}: a parent is not in [0, parents), for parents={list(parents)}")
    return found


def _row(tree: Any, parents: int, num_classes: int, at: str) -> list[Any]:
    """The classes' C parents in one tree of a file.

    Args:
        tree: as `read_trees` describes it.
        parents: of the tree.
        num_classes: C.
        at: file and tree, for messages.

    Raises:
        OptionError: it is of other classes.
    """
    published = isinstance(tree[0], list)
    row: list[Any] = tree[0] if published else tree
    if published and len(row) == num_classes + 1 and row[-1] == parents:
        return row[:-1]
    if len(row) != num_classes:
        raise OptionError(
            f"{at} has the parents of {len(row)} classes, but the data have {num_classes}: take a "
            f"tree of their vocabulary (of a pair of lists, the first may have {num_classes + 1} "
            f"numbers, the last one background's own parent, {parents})"
        )
    return row


def write_trees(path: Path, trees: Sequence[np.ndarray]) -> None:
    """Write trees, (C,) each, as `read_trees` reads them."""
    with replacing(path) as temporary:
        text = json.dumps([tree.tolist() for tree in trees])
        temporary.write_text(f"{text}\n", encoding="utf-8")


def clustered(points: np.ndarray, parents: int, seed: int) -> np.ndarray:
    """(C,) int64 in [0, parents): a tree by k-means of the classes' points (C, X).

    Points may be anything that is alike for classes that are: mean shapes, or rows of a classifier.
    Each coordinate counts by its standard deviation. The first centres are drawn as in k-means++.
    Points that are all alike, as where nothing is known of the classes, have one parent, 0.

    Args:
        points: (C, X).
        parents: clusters at most; some may stay empty.
        seed: of the first centres.
    """
    if (points == points[:1]).all():
        return np.zeros(len(points), dtype=np.int64)
    points = points - points.mean(axis=0)
    points = points / points.std(axis=0).clip(min=np.finfo(float).tiny)
    centres = _first_centres(points, min(parents, len(points)), np.random.default_rng(seed))
    own = np.full(len(points), -1)
    for _ in range(ROUNDS):
        nearest = _nearest(points, centres)
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


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(C,) int64 in [0, K): the nearest centre of each point, in blocks of points."""
    size = max(1, BLOCK // len(centres))
    starts = range(0, len(points), size)
    blocks = (_distances(points[at : at + size], centres) for at in starts)
    return np.concatenate([block.argmin(axis=1) for block in blocks])


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(C, K) squared distances."""
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return (squares - 2 * points @ centres.T).clip(min=0)
