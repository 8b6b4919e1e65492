"""Rules of thumb for a training, on what was counted of its data; where measured, it says so.

`job=data` advises by them, and `+experiment=bacl_custom` goes by them (`bacl.inspection.fitted`).
They are our choice; the paper's numbers are those of LVIS and COCO.
"""

import math

import numpy as np

from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.view import View

LARGE = 400
"""Pixels of the median short side from which on pictures are scaled as the paper's."""
PAPERS_SIDE, PAPERS_LIMIT = 800, 1333
VISIBLE = 16.0
"""Pixels that three of four objects are to have, as far as the paper's size gives it."""
LIKE = 1.5
"""Factor within which a scale does as well as another."""
OVERLAP, GAIN = 0.5, 0.02
"""IoU that an anchor is to have, and the share of objects that is worth other anchors."""
SAMPLE = 20_000
"""Objects that anchors are tried on."""
BATCHES = 20
"""Of an epoch, at least."""
SMALL_SIDE = 256
"""Pixels up to which a CPU takes eight pictures at once."""
STEPS, CLASSIFIER_STEPS = 1000, 500
"""Of a stage, and of one that trains the classifier on finished features."""
MOST_EPOCHS = 36
DROPS = (2 / 3, 11 / 12)
"""Of the epochs, after which the learning rate falls: 8 and 11 of 12 (Sec. IV-B)."""
WARM_UP = 10
"""Part of the steps, where the asked for are more than a quarter of them."""
FEWEST_ROWS, LIKELY_ROWS, MOST_ROWS = 1.3, 4.0, 8.0
"""Hallucinated rows for each object of a process' step. The paper has four: 96 for two images of
LVIS. With 75 objects a step, 20, 80 and 300 categories lost with a third of a row for each, and
hardly differed between 1.3 and 5 (docs/results.md, "Hallucinated rows of a step"); of c and m
the product alone mattered. On photographs eight gained and cost more than one."""
SAMPLES = 12
"""m, as in Sec. IV-B."""


def suitable_factor(own: float, objects: np.ndarray) -> float:
    """By which pictures are to be larger in the network than in the file.

    Args:
        own: median short side in pixels of the file.
        objects: (O, 2) width and height of the objects, in pixels of the file.
    """
    if own >= LARGE:
        return PAPERS_SIDE / own
    quarter = float(np.quantile(np.sqrt(objects.prod(axis=1)), 0.25)) if len(objects) else VISIBLE
    return min(max(1.0, VISIBLE / max(quarter, 1)), PAPERS_SIDE / own)


def suitable_short_side(own: float, objects: np.ndarray) -> float:
    """Pixels of the short side that pictures are to have in the network; as `suitable_factor`."""
    if own >= LARGE:
        return float(PAPERS_SIDE)
    return max(32.0, 16 * round(own * suitable_factor(own, objects) / 16))


def enough_pictures(images: int) -> int:
    """Of a step, a power of two with which an epoch of so many images has some 20 steps."""
    return 2 ** max(1, int(math.log2(max(images, 1) / BATCHES)))


def suitable_batch(asked: int, images: int, side: float, gpu: bool) -> int:
    """Pictures of a step: at most those asked for, and as many as fit the data and a CPU.

    Args:
        asked: pictures of a step that are configured.
        images: that are trained on.
        side: pixels of the short side in the network.
        gpu: whether there is one; what fits it is not known here.
    """
    enough = enough_pictures(images)
    limit = enough if gpu else 8 if side <= SMALL_SIDE else 4
    return min(asked, limit, enough)


def suitable_epochs(asked: int, steps_wanted: int, steps_per_epoch: int) -> int:
    """Epochs with which a stage has so many steps, at least those asked for, within reason."""
    return max(asked, min(MOST_EPOCHS, math.ceil(steps_wanted / max(1, steps_per_epoch))))


def drops(epochs: int) -> list[int]:
    """Epochs after which the learning rate falls, as 8 and 11 of 12; none of a single epoch."""
    return sorted({drop for share in DROPS if 0 < (drop := max(1, round(epochs * share))) < epochs})


def suitable_warm_up(asked: int, steps: int) -> int:
    """Steps of warm-up of so many in all: those asked for, unless they are over a quarter."""
    return max(1, steps // WARM_UP) if asked > steps / 4 else asked


def suitable_categories(asked_rows: int, objects: float) -> int | None:
    """Categories that are hallucinated in a step (c, with m = 12); None keeps what is asked for.

    Args:
        asked_rows: c · m as configured.
        objects: of a process' step, in the mean.
    """
    if not objects or FEWEST_ROWS <= asked_rows / objects <= MOST_ROWS:
        return None
    return max(1, round(LIKELY_ROWS * objects / SAMPLES))


def suitable_anchors(
    anchors: AnchorShapes, now: float, view: View, factor: float
) -> tuple[float, float, float]:
    """The scale of anchors with which fewest objects have none, and the share that has none.

    Args:
        anchors: as configured.
        now: their scale.
        view: the objects in the network.
        factor: by which they are to be larger.

    Returns:
        Scale, and the shares of objects without an anchor as configured, and at that scale. The
        configured one is kept where others reach hardly more.
    """
    scales = sorted({2.0, 4.0, 8.0, 16.0, float(now)})
    missed = {each: missed_objects(anchors.scaled(each / now), view, factor) for each in scales}
    # Of equals that which changes least.
    best = min(scales, key=lambda scale: (missed[scale], abs(math.log(scale / now))))
    kept = missed[now] - missed[best] <= GAIN
    return (float(now) if kept else best), missed[now], missed[best]


def missed_objects(anchors: AnchorShapes, view: View, factor: float) -> float:
    """Share of a view's objects without an anchor, were its pictures larger by a factor."""
    chosen = np.flatnonzero(view.seen)
    if not len(chosen):
        return 0.0
    chosen = chosen[:: max(1, len(chosen) // SAMPLE)]
    sizes = factor * view.frames.size[view.owners[chosen]]
    return float((anchors.best_overlaps(factor * view.boxes[chosen], sizes) < OVERLAP).mean())
