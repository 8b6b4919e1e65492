"""How far a share would move with other images of the same kind: the bootstrap over images.

Images are drawn anew, with replacement, as many as were judged; what an image has of objects comes
with it. Objects of one image resemble each other, so that drawing objects would promise too much.
Images without objects are drawn too: another set of as many images would have more of them or
fewer, and a resample of the others alone would say that the number of objects is less a matter of
chance than it is. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.

I: images. K: statistics. B: resamples.
"""

import numpy as np

RESAMPLES = 1000
_DRAWS_AT_ONCE = 1 << 21  # bounds the memory of a block: about 50 MB


def ratios(
    numerators: np.ndarray, denominators: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """(B, K) float64: sums of the numerators over sums of the denominators in every resample.

    NaN where a resample's denominators are 0. The draws depend on I and the seed alone: two calls
    see the same resampled images, and what they return can be subtracted.

    Args:
        numerators: (I, K) float64, sums of each image.
        denominators: (I, K) float64, likewise; at least 0.
        resamples: B.
        seed: of the draws.

    Raises:
        ValueError: the two are not of one shape (I, K).
    """
    if numerators.shape != denominators.shape or numerators.ndim != 2:
        shapes = f"{numerators.shape} and {denominators.shape}"
        raise ValueError(f"numerators and denominators have the shapes {shapes}, not one (I, K)")
    sums = resampled_sums(np.concatenate([numerators, denominators], axis=1), resamples, seed)
    return shares(*np.hsplit(sums, 2))


def resampled_sums(sums: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(B, K) float64: sums over the images of every resample, the same images as `ratios` draws.

    Args:
        sums: (I, K) float64, of each image.
        resamples: B.
        seed: of the draws.
    """
    number = len(sums)
    draw, found = np.random.default_rng(seed), np.empty((resamples, sums.shape[1]))
    block = max(1, _DRAWS_AT_ONCE // max(number, 1))
    for first in range(0, resamples, block):
        rows = found[first : first + block]
        rows[:] = _weights(draw, len(rows), number) @ sums
    return found


def by_image(images: np.ndarray, columns: np.ndarray, judged: np.ndarray, width: int) -> np.ndarray:
    """(I, width) float64: how often each column occurs in each image, a row for every judged one.

    Args:
        images: (n,) int64, the image of each occurrence, one that was judged.
        columns: (n,) int64 in [0, width).
        judged: (I,) int64, all judged images, ascending; whoever counts by the same ones is
            resampled by the same ones.
        width: how many columns there are.
    """
    cells = np.searchsorted(judged, images) * width + columns
    counts = np.bincount(cells, minlength=len(judged) * width)
    return counts.reshape(len(judged), width).astype(np.float64)


def shares(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """One over the other, of shapes that fit; NaN where nothing is below."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def standard_error(resampled: np.ndarray) -> np.ndarray:
    """(K,) float64 from (B, K): deviation over the resamples that are numbers; NaN below two."""
    known = ~np.isnan(resampled)
    count = known.sum(axis=0)
    values = np.where(known, resampled, 0.0)
    mean = values.sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _weights(draw: np.random.Generator, resamples: int, images: int) -> np.ndarray:
    """(B, I) float64: how often each image was drawn, multinomial, I draws in every row."""
    drawn = draw.integers(0, max(images, 1), (resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    counts = np.bincount(drawn.ravel(), minlength=resamples * images)
    return counts.reshape(resamples, images).astype(np.float64)
