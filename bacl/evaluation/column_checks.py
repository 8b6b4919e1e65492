"""Refuses detections that cannot be evaluated, and names their image.

I: images. C: categories.
"""

import numpy as np

from bacl.evaluation.detection_columns import DetectionColumns


def check_boxes(columns: DetectionColumns, known_images: np.ndarray, num_categories: int) -> None:
    """Refuse images and boxes that cannot be evaluated.

    Args:
        columns: what was given.
        known_images: (·,) int64, ascending: the image ids of the annotation table.
        num_categories: C.

    Raises:
        ValueError: naming the image, if its id is unknown, a score or coordinate is not finite,
            or a label is outside [0, C).
    """
    unknown = ~np.isin(columns.image_ids, known_images)
    if unknown.any():
        raise ValueError(
            f"image id {columns.image_ids[unknown.argmax()]} has detections but is not in the "
            "annotation table; evaluate on the annotation file that the images came from"
        )
    _refuse(columns, ~np.isfinite(columns.scores), "score", columns.scores, "a finite number")
    finite = np.isfinite(columns.boxes)
    if not finite.all():
        _refuse(columns, ~finite.all(1), "box", columns.boxes, "four finite numbers")
    outside = (columns.labels < 0) | (columns.labels >= num_categories)
    _refuse(columns, outside, "label", columns.labels, f"in [0, {num_categories})")


def check_masks(columns: DetectionColumns, image_sizes: np.ndarray) -> None:
    """Refuse masks that cannot be evaluated.

    Args:
        columns: what was given.
        image_sizes: (I, 2) height and width of the images.

    Raises:
        ValueError: naming the image, if a detection has no mask, or one of another size.
    """
    missing = columns.code_lengths == 0
    if missing.any():
        image_id = np.repeat(columns.image_ids, columns.counts)[missing.argmax()]
        raise ValueError(
            f"image id {image_id}: a detection has no mask, but masks are to be evaluated; "
            "use a detector with a mask branch, or set masks=false"
        )
    wrong = (columns.mask_sizes != image_sizes).any(1) & (columns.counts > 0)
    if wrong.any():
        index = int(wrong.argmax())
        raise ValueError(
            f"image id {columns.image_ids[index]}: masks have height and width "
            f"{columns.mask_sizes[index].tolist()}, the image {image_sizes[index].tolist()}"
        )


def _refuse(
    columns: DetectionColumns, bad: np.ndarray, field: str, values: np.ndarray, wanted: str
) -> None:
    if bad.any():
        row = int(bad.argmax())
        image_id = np.repeat(columns.image_ids, columns.counts)[row]
        raise ValueError(
            f"image id {image_id}: the {field} of a detection is {values[row]}; "
            f"it must be {wanted} (label {columns.labels[row]}, score {columns.scores[row]})"
        )
