"""The ground truth of a data set, arranged for evaluation by a benchmark's rules.

I: images by ascending id. C: categories. G: objects. The key of a category in an image is
`image * C + label`: one integer by which objects and detections are sorted and brought together.
"""

from dataclasses import dataclass, replace

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.rules import Rules

_EVALUATED, _NOT_EXHAUSTIVE = np.uint8(1), np.uint8(2)


@dataclass(slots=True, frozen=True)
class GroundTruth:
    """Objects sorted by key (file order within a key), and what is known about every key.

    Objects that do not exist by the rules (LVIS: of area 0) are neither found nor missed, and do
    not make their category present in their image.
    """

    image_ids: np.ndarray
    """(I,) int64, ascending."""
    num_categories: int
    """C."""
    rows: np.ndarray
    """(G,) int64, the objects' rows in the annotation table."""
    keys: np.ndarray
    """(G,) int64, ascending."""
    boxes: np.ndarray
    """(G, 4) float64 xywh."""
    areas: np.ndarray
    """(G,) float64, the annotated areas (of the masks, in LVIS)."""
    ignored: np.ndarray
    """(G,) bool: a detection of such an object is neither right nor wrong."""
    crowd: np.ndarray
    """(G,) bool: a region of many objects, ignored too, which any number of detections may find."""
    knowledge: np.ndarray
    """(I * C,) uint8 flags of each key: verified present or absent; annotated only in part."""
    judged_images: np.ndarray
    """(J,) int64, positions of the images that are judged, with or without objects, ascending."""

    @classmethod
    def from_table(cls, table: AnnotationTable, rules: Rules) -> "GroundTruth":
        """Read the columns of `table`, and its federated lists where the rules know them."""
        order = np.argsort(table.image_ids, kind="stable")
        image = np.empty(len(order), np.int64)
        image[order] = np.arange(len(order))
        areas = np.asarray(table.areas)
        keys = np.repeat(image, np.diff(table.offsets)) * table.num_categories + table.labels
        rows = np.flatnonzero(rules.exists(areas))
        rows = rows[np.argsort(keys[rows], kind="stable")]
        # A file without federated lists is annotated in full, as COCO is: nothing is unverified.
        federated = rules.federated and not table.exhaustive
        return cls(
            np.asarray(table.image_ids)[order],
            table.num_categories,
            rows,
            keys[rows],
            np.asarray(table.boxes)[rows],
            areas[rows],
            np.asarray(table.ignore)[rows],
            np.asarray(table.crowd)[rows],
            _federated(table, image, keys[rows]) if federated else _in_full(table),
            np.arange(len(order)),
        )

    def only(self, image_ids: np.ndarray) -> "GroundTruth":
        """The objects of these images; the others have none, and are not judged."""
        judged = np.intersect1d(self.judged_images, self.image_index(image_ids))
        seen = np.zeros(len(self.image_ids), bool)
        seen[judged] = True
        kept = seen[self.keys // self.num_categories]
        of_objects = ("rows", "keys", "boxes", "areas", "ignored", "crowd")
        own = {name: getattr(self, name)[kept] for name in of_objects}
        return replace(self, **own, judged_images=judged)

    @property
    def labels(self) -> np.ndarray:
        """(G,) int64 in [0, C)."""
        return self.keys % self.num_categories

    def image_index(self, image_ids: np.ndarray) -> np.ndarray:
        """Positions of `image_ids`, all of which are known, in `self.image_ids`."""
        return np.searchsorted(self.image_ids, image_ids)

    def evaluated(self, keys: np.ndarray) -> np.ndarray:
        """(K,) bool: the category is verified to be present in, or absent from, the image."""
        return (self.knowledge.take(keys) & _EVALUATED) != 0

    def present(self, keys: np.ndarray) -> np.ndarray:
        """(K,) bool: the image has objects of the category."""
        flags = np.zeros(len(self.knowledge), bool)
        flags[self.keys] = True
        return flags.take(keys)

    def exhaustive(self, keys: np.ndarray) -> np.ndarray:
        """(K,) bool: every object of the category in the image is annotated."""
        return (self.knowledge.take(keys) & _NOT_EXHAUSTIVE) == 0

    def judged(self, image_id: int) -> np.ndarray:
        """(C,) bool: whether a detection in the image that finds no object is wrong."""
        position = self.image_index(np.array([image_id]))
        keys = position * self.num_categories + np.arange(self.num_categories)
        return self.evaluated(keys) & self.exhaustive(keys)


def _in_full(table: AnnotationTable) -> np.ndarray:
    """(I * C,) uint8 flags where every category is verified in every image."""
    return np.full(table.num_images * table.num_categories, _EVALUATED)


def _federated(table: AnnotationTable, image: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(I * C,) uint8 flags by the federated lists of a file.

    Args:
        table: the annotations.
        image: (I,) int64, by row of the table the image's position by id.
        present: keys of the objects.
    """
    knowledge = np.zeros(table.num_images * table.num_categories, np.uint8)
    knowledge[present] |= _EVALUATED
    for (row, labels), flag in (
        (table.negative_pairs(), _EVALUATED),
        (table.not_exhaustive_pairs(), _NOT_EXHAUSTIVE),
    ):
        knowledge[image[row] * table.num_categories + labels] |= flag
    return knowledge
