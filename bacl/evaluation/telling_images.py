"""Images that show what a head changes: a gain, a loss and a hit, and not its failures alone.

I: images, as `RightLabels` numbers them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.right_label import RightLabels

Kind = Literal["gain", "loss", "hit", "rare objects", "other"]


@dataclass(frozen=True, slots=True)
class TellingImage:
    """An image, and what it is shown for."""

    image_id: int
    kind: Kind
    objects: int
    """How many of its objects are of that kind; of gains and losses, those with high scores."""


def telling_images(
    heads: Mapping[str, RightLabels],
    grouping: Grouping,
    image_ids: np.ndarray,
    count: int,
    among: Sequence[int] | np.ndarray | None = None,
) -> list[TellingImage]:
    """One after the other a gain, a loss, a hit and an image with many rare objects, then again.

    Gains are rare objects that the leading head calls by their name and the reference does not (of
    any group, where no rare one is); losses the opposite, of any group; hits are frequent objects
    that both call by their name. Gains and losses with scores in the upper half of their head's
    come first: where boxes are drawn from some score on, they are seen. Of a head alone, gains are
    those that are right, and losses those that are not. Rare and frequent are the first and the
    last group that objects are of. Where these are not enough, the other images with objects
    follow.

    Args:
        heads: right labels by head, the reference first; the leading one has the best mean of
            the groups of the others.
        grouping: of the categories.
        image_ids: (I,) int64, as in `GroundTruth.image_ids`.
        count: of the images, at most.
        among: ids of the images to choose from; None: all.

    Returns:
        The images; of equal ones those with the lower id come first.
    """
    labels = list(heads.values())
    best = leading(heads, grouping)
    reference, head = labels[0], labels[0] if best is None else heads[best]
    groups = _with_objects(grouping, reference)
    if not groups:
        return []
    rare, frequent = (each.members[reference.labels] for each in (groups[0], groups[-1]))
    before = ~head.right if best is None else reference.right
    gains, losses, hits = head.right & ~before, before & ~head.right, head.right & reference.right
    ranked: dict[Kind, Sequence[np.ndarray]] = {
        "gain": (gains & rare & _sure(head), gains & rare, gains),
        "loss": (losses & _sure(reference), losses),
        "hit": (hits & frequent, hits),
        "rare objects": (rare,),
        "other": (np.ones_like(rare),),
    }
    allowed = np.ones(len(image_ids), bool) if among is None else np.isin(image_ids, among)
    *telling, others = [
        iter(_order(kind, reference.images, objects, allowed, image_ids))
        for kind, objects in ranked.items()
    ]
    return list(islice(_in_turns(telling, [others]), count))


def _in_turns(*rounds: list[Iterator[TellingImage]]) -> Iterator[TellingImage]:
    """Of each queue the next image that was not shown yet, in turns; then those of later rounds."""
    shown: set[int] = set()
    for queues in rounds:
        more = True
        while more:
            more = False
            for queue in queues:
                image = next((each for each in queue if each.image_id not in shown), None)
                if image is not None:
                    shown.add(image.image_id)
                    more = True
                    yield image


def leading(heads: Mapping[str, RightLabels], grouping: Grouping) -> str | None:
    """The head, other than the first, with the best mean of the groups; None: there is no other."""
    others = list(heads)[1:]
    return max(others, key=lambda name: _mean(heads[name], grouping), default=None)


def _sure(labels: RightLabels) -> np.ndarray:
    """(G,) bool: the best detection's score is in the upper half, so that a picture shows it."""
    if labels.scores is None:
        return np.ones(len(labels.labels), bool)
    return labels.scores >= np.median(labels.scores)


def _mean(labels: RightLabels, grouping: Grouping) -> float:
    shares = [share for share in labels.of_groups(grouping).values() if share >= 0]
    return float(np.mean(shares)) if shares else -1.0


def _with_objects(grouping: Grouping, labels: RightLabels) -> list[CategoryGroup]:
    return [each for each in grouping.groups if each.members[labels.labels].any()]


def _order(
    kind: Kind,
    owners: np.ndarray,
    objects: Sequence[np.ndarray],
    allowed: np.ndarray,
    image_ids: np.ndarray,
) -> list[TellingImage]:
    """The allowed images with such objects, those with most first.

    Args:
        kind: of the images.
        owners: (G,) int64, the images of the objects.
        objects: (G,) bool each; where images have equally many of the first, the next decides.
        allowed: (I,) bool.
        image_ids: (I,) int64.
    """
    counts = [np.bincount(owners[which], minlength=len(image_ids)) for which in objects]
    total = np.select([each > 0 for each in counts], counts)
    order = np.lexsort([-each for each in reversed(counts)])
    return [
        TellingImage(int(image_ids[row]), kind, int(total[row]))
        for row in order.tolist()
        if allowed[row] and total[row] > 0
    ]
