"""Masks of a results file, collected record by record.

D: records. I: images that have some.
"""

from array import array

import numpy as np

from bacl.data.segmentation import decoded_runs
from bacl.data.table import AnnotationTable
from bacl.evaluation.mask_codes import take_codes


class MaskReader:
    """Checks and packs the `segmentation` of records in file order.

    Args:
        table: has the images' sizes, which their masks must have.
    """

    def __init__(self, table: AnnotationTable) -> None:
        sizes = zip(table.image_ids.tolist(), table.image_sizes.tolist(), strict=True)
        self._sizes: dict[int, list[int]] = dict(sizes)
        self._codes, self._lengths, self._areas = array("B"), array("i"), array("d")

    def append(self, segmentation: object, image_id: int, where: str) -> None:
        """Add the mask of the next record.

        Args:
            segmentation: the record's field.
            image_id: a known image.
            where: names the record in errors.

        Raises:
            ValueError: it is no compressed run-length object of the image's size.
        """
        height, width = self._sizes[image_id]
        match segmentation:
            case {"size": [int(h), int(w)], "counts": str(counts)} if [h, w] == [height, width]:
                code = counts.encode("ascii", errors="replace")
            case _:
                raise ValueError(
                    f"{where}: segmentation is {str(segmentation)[:60]}; expected compressed run "
                    f"lengths {{size: [{height}, {width}], counts: text}}"
                )
        runs = decoded_runs(code)
        if (runs < 0).any() or runs.sum() != height * width:
            raise ValueError(
                f"{where}: the runs of the segmentation add up to {runs.sum()}, expected "
                f"{height} x {width} pixels"
            )
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
