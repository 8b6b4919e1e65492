"""Pictures that occur twice, as the same file or nearly so, within and between splits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bacl.inspection.finding import Fault, Finding, Place, Places, Severity, first
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.neighbours import Pairs
from bacl.inspection.picture_facts import PictureFacts
from bacl.inspection.similar_pictures import levels_apart, similar_pairs

_LEAK = (
    "the validation measures what was learnt by heart, not what is recognised",
    "leave them out of one of the two: remove the records, or datamodule.leave_out=…",
)
_TWICE = (
    "their objects count twice, and labels contradict where they are annotated differently",
    "keep one of each: remove the records, or datamodule.leave_out=…",
)
SAME_IN_BOTH = Fault(
    "same_picture_in_both", Severity.ERROR, "validation pictures are files of the training", *_LEAK
)
SAME_TWICE = Fault(
    "same_picture_twice", Severity.WARNING, "pictures are the same file as another one", *_TWICE
)
SIMILAR_IN_BOTH = Fault(
    "similar_picture_in_both",
    Severity.WARNING,
    "validation pictures look like one of the training",
    *_LEAK,
)
SIMILAR_TWICE = Fault(
    "similar_picture_twice", Severity.WARNING, "pictures look like another one", *_TWICE
)


@dataclass(frozen=True)
class _Pool:
    """The usable pictures of both splits, N in one row."""

    splits: tuple[InspectedSplit, ...]
    of_split: np.ndarray
    """(N,) 0 or 1."""
    images: np.ndarray
    """(N,) row in the table of the split."""
    digests: np.ndarray
    outlines: np.ndarray
    thumbnails: np.ndarray

    @classmethod
    def of(cls, splits: tuple[InspectedSplit, ...], facts: list[PictureFacts]) -> "_Pool":
        """Of both splits."""
        both = list(zip(splits, facts, strict=True))
        rows = [np.flatnonzero(each.good & split.used) for split, each in both]
        chosen = list(zip(facts, rows, strict=True))
        return cls(
            splits,
            np.repeat(np.arange(len(rows)), [len(own) for own in rows]),
            np.concatenate(rows),
            np.concatenate([each.digests[own] for each, own in chosen]),
            np.concatenate([each.outlines[own] for each, own in chosen]),
            np.concatenate([each.thumbnails[own] for each, own in chosen]),
        )

    def told(self, pairs: Pairs) -> Iterator[Places]:
        """Both pictures of each pair."""
        apart = levels_apart(self.thumbnails, *pairs)
        for one, other, levels in zip(*(end.tolist() for end in (*pairs, apart)), strict=True):
            detail = f"{levels:.1f} levels apart" if levels else ""
            yield self._place(one), self._place(other, detail)

    def _place(self, position: int, detail: str = "") -> Place:
        split = self.splits[self.of_split[position]]
        return split.place(int(self.images[position]), (), detail)


def repeated_pictures(data: Inspected) -> Iterator[Finding]:
    """Findings of equal files, then of similar pictures, by where they lie."""
    facts = [split.pictures for split in data.splits if split.pictures is not None]
    if len(facts) < len(data.splits):
        return
    pool = _Pool.of(data.splits, facts)
    yield from _by_place(pool, equal_pairs(pool.digests), SAME_IN_BOTH, SAME_TWICE)
    one, other = similar_pairs(pool.outlines, pool.thumbnails, pool.of_split)
    distinct = pool.digests[one] != pool.digests[other]
    yield from _by_place(pool, (one[distinct], other[distinct]), SIMILAR_IN_BOTH, SIMILAR_TWICE)


def equal_pairs(digests: np.ndarray) -> Pairs:
    """Each file after the first of its content, (P,), with that first: one pair a file too many."""
    _, where, inverse = np.unique(digests, return_index=True, return_inverse=True)
    earliest = where[inverse.reshape(-1)]
    later = np.flatnonzero(earliest != np.arange(len(digests)))
    return earliest[later], later


def _by_place(pool: _Pool, pairs: Pairs, leak: Fault, twice: Fault) -> Iterator[Finding]:
    one, other = (pool.of_split[end] for end in pairs)
    yield from _finding(pool, pairs, one != other, "both", leak)
    for number, split in enumerate(pool.splits):
        yield from _finding(pool, pairs, (one == number) & (other == number), split.name, twice)


def _finding(
    pool: _Pool, pairs: Pairs, chosen: np.ndarray, where: str, fault: Fault
) -> Iterator[Finding]:
    one, other = pairs[0][chosen], pairs[1][chosen]
    if len(one):
        yield Finding(
            fault=fault,
            split=where,
            count=len(np.unique(other)),
            total=int((pool.of_split == pool.of_split[other[0]]).sum()),
            places=first(pool.told((one, other))),
        )
