"""Masks of a results file, collected record by record.

D: records. I: images that have some.
"""

from array import array
from pathlib import Path

import numpy as np

from bacl.data.annotations.run_lengths import decoded_runs
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import AnnotationError
from bacl.evaluation.mask_codes import take_codes
from bacl.messages.shown import written


class MaskReader:
    """Checks and packs the `segmentation` of records in file order.

    Args:
        file: the results file, named in errors.
        table: has the images' sizes, which their masks must have.
    """

    def __init__(self, file: Path, table: AnnotationTable) -> None:
        self._file = file
        sizes = zip(table.image_ids.tolist(), table.image_sizes.tolist(), strict=True)
        self._sizes: dict[int, list[int]] = dict(sizes)
        self._codes, self._lengths, self._areas = array("B"), array("i"), array("d")

    def append(self, segmentation: object, image_id: int, place: str) -> None:
        """Add the mask of the next record.

        Args:
            segmentation: the record's field.
            image_id: a known image.
            place: names the record in errors.

        Raises:
            AnnotationError: it is no compressed run-length object of the image's size.
        """
        height, width = self._sizes[image_id]
        place = f"{place}.segmentation"
        match segmentation:
            case {"size": size, "counts": str(counts)} if _is_size(size, height, width):
                code = counts.encode("ascii", errors="replace")
            case _:
                expected = f"compressed run lengths {{size: [{height}, {width}], counts: text}}"
                problem = f"{written(segmentation)}, expected {expected}"
                raise AnnotationError(self._file, place, problem)
        try:
            runs = decoded_runs(code)
        except ValueError as error:
            raise AnnotationError(self._file, place, f"{written(counts)}, {error}") from None
        if runs.sum() != height * width:
            problem = f"the runs add up to {runs.sum()}, expected {height} x {width} pixels"
            raise AnnotationError(self._file, place, problem)
        self._codes.extend(code)
        self._lengths.append(len(code))
        self._areas.append(float(runs[1::2].sum()))

    def columns(self, image_ids: np.ndarray, order: np.ndarray) -> dict[str, np.ndarray]:
        """The mask columns of `DetectionColumns`: images (I,), records in (D,) `order`."""
        lengths = np.array(self._lengths, np.int32)
        sizes = [self._sizes[image_id] for image_id in image_ids.tolist()]
        return {
            "mask_sizes": np.array(sizes, np.int32).reshape(-1, 2),
            "mask_areas": np.array(self._areas)[order],
            "code_lengths": lengths[order],
            "codes": take_codes(np.array(self._codes, np.uint8), lengths, order),
        }


def _is_size(size: object, height: int, width: int) -> bool:
    # Compared as text: true is 1, and 4.0 is 4, but neither is written for a size.
    return repr(size) == f"[{height}, {width}]"
