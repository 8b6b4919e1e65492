"""Masks of many detections in columns: run-length codes packed end to end.

I: images. D: their detections, image after image. A detection without a mask has a code of 0 bytes.
"""

from collections.abc import Sequence

import numpy as np

from bacl.data.annotations.run_lengths import mask_areas
from bacl.data.batch import Detections, RunLengths

_ROWS = 1 << 16  # codes moved at once: their bytes' positions take eight times their room


def pack_masks(detections: Sequence[Detections]) -> dict[str, np.ndarray]:
    """The mask columns of `DetectionColumns`, for one `Detections` per image.

    Raises:
        ValueError: if an image's masks are not one for each detection, or differ in size.
    """
    sizes = np.array([_size(found) for found in detections], np.int32).reshape(-1, 2)
    counts = [len(found.scores) for found in detections]
    masked = np.repeat([found.masks is not None for found in detections], counts).astype(bool)
    masks = [mask for found in detections for mask in found.masks or ()]
    codes = [mask["counts"] for mask in masks]
    lengths, areas = np.zeros(len(masked), np.int32), np.zeros(len(masked))
    lengths[masked] = [len(code) for code in codes]
    areas[masked] = mask_areas(masks)
    packed = np.frombuffer(b"".join(codes), np.uint8).copy()  # writable, as torch wants it
    return {"mask_sizes": sizes, "mask_areas": areas, "code_lengths": lengths, "codes": packed}


def no_masks(num_images: int, num_detections: int) -> dict[str, np.ndarray]:
    """The mask columns where there are no masks."""
    return {
        "mask_sizes": np.zeros((num_images, 2), np.int32),
        "mask_areas": np.zeros(num_detections),
        "code_lengths": np.zeros(num_detections, np.int32),
        "codes": np.zeros(0, np.uint8),
    }


def take_codes(codes: np.ndarray, lengths: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The bytes of (n,) `rows`, in that order, of `codes` with (D,) `lengths`."""
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    parts = [codes[:0]]
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS]
        taken = lengths[part].astype(np.int64)
        shift = starts[part] - (np.cumsum(taken) - taken)
        parts.append(codes[np.arange(taken.sum()) + np.repeat(shift, taken)])
    return np.concatenate(parts)


class PackedMasks:
    """Random access to packed masks.

    Args:
        sizes: (I, 2) height and width of each image's masks.
        counts: (I,) detections of each image.
        lengths: (D,) bytes of each code.
        codes: (·,) uint8.
    """

    def __init__(
        self, sizes: np.ndarray, counts: np.ndarray, lengths: np.ndarray, codes: np.ndarray
    ) -> None:
        self._sizes = sizes.tolist()
        self._image = np.repeat(np.arange(len(counts)), counts)
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._lengths, self._codes = lengths, codes

    def __getitem__(self, row: int) -> RunLengths:
        """The mask of a detection."""
        end = int(self._ends[row])
        code = self._codes[end - int(self._lengths[row]) : end].tobytes()
        return {"size": self._sizes[self._image[row]], "counts": code}


def _size(found: Detections) -> list[int]:
    """Height and width of one image's masks; zeros without."""
    if found.masks is None:
        return [0, 0]
    if len(found.masks) != len(found.scores):
        raise ValueError(
            f"{len(found.masks)} masks were given for {len(found.scores)} detections of an image; "
            "give one for each, or None"
        )
    sizes = {tuple(mask["size"]) for mask in found.masks}
    if len(sizes) > 1:
        raise ValueError(f"masks of one image have the sizes {sorted(sizes)}; give the image's")
    return list(sizes.pop()) if sizes else [0, 0]
