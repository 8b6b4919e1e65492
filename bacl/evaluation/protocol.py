"""By which protocol a figure was measured, in words: figures of different ones do not compare."""

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.rules import Rules

_CATEGORIES = 1203
_MINIVAL = range(4_000, 5_001)
"""Images that LVIS annotates of the 5,000 of COCO's val2017; files differ in which they list."""
_FOLDER = "val2017/"


def protocol(table: AnnotationTable, rules: Rules) -> str:
    """What is judged, by which annotations, and how many detections count."""
    federated = rules.federated and not table.exhaustive
    name = "LVIS v1 minival: " if federated and is_minival(table) else ""
    annotated = "federated annotations" if federated else "images annotated in full"
    each = "each category of an image" if rules.limit_per_category else "an image"
    return f"{name}{annotated}, the best {rules.max_detections} detections of {each} count"


def is_minival(table: AnnotationTable) -> bool:
    """Whether a file is the part of LVIS v1 val that people call minival.

    Its images are those of COCO's val2017, where LVIS v1 val has most of its images of train2017
    (Kamath et al., "MDETR", 2021, made it; later work reports it).
    """
    return (
        table.num_categories == _CATEGORIES
        and table.num_images in _MINIVAL
        and all(name.startswith(_FOLDER) for name in table.file_names())
    )
