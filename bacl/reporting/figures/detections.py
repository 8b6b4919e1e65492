"""Ground truth and each head's detections side by side on validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as mask_decoder
from torch import Tensor
from torchvision.ops import box_iou

from bacl.data.batch import Detections
from bacl.reporting.figures.style import INK, new_figure, save, styled
from bacl.reporting.groups import GROUPS

MAX_DRAWN = 25  # boxes in one panel; the best ones, a picture with more cannot be read
MATCHING_IOU = 0.5
MASK_OPACITY = 0.4
PANEL = 4.4  # inches


@dataclass(frozen=True)
class DetectionSample:
    """One image with its truth and every head's detections; boxes xyxy in pixels of the image."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    boxes: Tensor
    """(N, 4) ground truth."""
    labels: Tensor
    """(N,) in [0, C)."""
    detections: Mapping[str, Detections]
    """By head."""
    title: str = ""
    """Such as the image's id; above its ground truth."""


@dataclass(frozen=True)
class DrawnBox:
    """One rectangle with its caption, in pixels; drawn dashed where it is not `matched`."""

    corners: tuple[float, float, float, float]
    caption: str
    colour: str
    matched: bool
    mask: NDArray[np.bool_] | None = None
    """(H, W), laid over the image."""


@styled
def draw_detection_grid(
    path: Path,
    samples: Sequence[DetectionSample],
    names: Sequence[str],
    frequency: ArrayLike,
    score_threshold: float,
) -> Path:
    """Draw images as rows: the ground truth first, then one panel per head.

    A detection is solid where it matches an annotation of its category (IoU of at least 0.5),
    dashed otherwise. In a federated data set a dashed box may still be right: not every object is
    annotated.

    Args:
        path: PNG to write.
        samples: the images.
        names: the categories' names.
        frequency: (C,) of "r", "c", "f": the colour of a box.
        score_threshold: detections below it are not drawn.

    Returns:
        `path`.

    Raises:
        ValueError: no sample, or samples with different heads.
    """
    heads = [tuple(sample.detections) for sample in samples]
    if not heads or len(set(heads)) != 1:
        raise ValueError(f"samples: every image needs detections of the same heads, got {heads}")
    # A tall image is fitted into a square: one portrait must not fill the page.
    ratios = [min(1.0, s.image.shape[0] / s.image.shape[1]) for s in samples]
    columns = 1 + len(heads[0])
    figure, axes = new_figure(
        PANEL * columns, PANEL * sum(ratios) + 0.35 * len(samples) + 0.5, len(samples), columns,
        gridspec_kw={"height_ratios": ratios},
    )  # fmt: skip
    letters = np.asarray(frequency, dtype=str)
    for row, sample in zip(axes, samples, strict=True):
        _draw_row(row, sample, names, letters, score_threshold)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False)
    return save(figure, path, dpi=130)


def _draw_row(
    row: Sequence[Axes],
    sample: DetectionSample,
    names: Sequence[str],
    frequency: NDArray[np.str_],
    score_threshold: float,
) -> None:
    truth = [
        DrawnBox(tuple(box), names[label], GROUPS[frequency[label]].colour, True)
        for box, label in zip(sample.boxes.tolist(), sample.labels.tolist(), strict=True)
    ]
    parts = ["ground truth", sample.title, f"{len(truth)} objects"]
    draw_panel(row[0], sample.image, truth, " · ".join(part for part in parts if part))
    for axes, (head, found) in zip(row[1:], sample.detections.items(), strict=True):
        boxes = _boxes_of(found, sample, names, frequency, score_threshold)
        shown = f"{min(len(boxes), MAX_DRAWN)} of " if len(boxes) > MAX_DRAWN else ""
        text = f"{head} · {shown}{len(boxes)} with score ≥ {score_threshold:g}"
        draw_panel(axes, sample.image, boxes[:MAX_DRAWN], text)


def _boxes_of(
    found: Detections,
    sample: DetectionSample,
    names: Sequence[str],
    frequency: NDArray[np.str_],
    score_threshold: float,
) -> list[DrawnBox]:
    kept = found.scores >= score_threshold
    boxes, scores, labels = found.boxes[kept], found.scores[kept], found.labels[kept]
    matched = _match_truth(boxes, labels, sample)
    return [
        DrawnBox(tuple(box), f"{names[label]} {score:.2f}", GROUPS[frequency[label]].colour, match)
        for box, score, label, match in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), matched, strict=True
        )
    ]


def chosen_masks(found: Detections, rows: Sequence[int]) -> list[NDArray[np.bool_] | None]:
    """(H, W) masks of some detections, from COCO run lengths; None for each without masks."""
    masks = getattr(found, "masks", None)
    if masks is None:
        return [None] * len(rows)
    return [mask_decoder.decode(masks[row]).astype(bool) for row in rows]


def _match_truth(boxes: Tensor, labels: Tensor, sample: DetectionSample) -> list[bool]:
    if len(sample.boxes) == 0:
        return [False] * len(boxes)
    overlap = box_iou(boxes.float().cpu(), sample.boxes.float().cpu())
    same = labels.cpu()[:, None] == sample.labels.cpu()[None]
    return ((overlap >= MATCHING_IOU) & same).any(dim=1).tolist()


def draw_panel(
    axes: Axes,
    image: NDArray[np.uint8],
    boxes: Sequence[DrawnBox],
    title: str,
    inches: float = PANEL,
) -> None:
    """Draw an image (H, W, 3) with boxes on it.

    Args:
        axes: the panel.
        image: RGB.
        boxes: best first, so that the best ones' captions find a place first.
        title: above the image.
        inches: length of the image's longer side in the figure.
    """
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="antialiased", extent=(0, width, height, 0))
    for box in boxes:
        if box.mask is not None:
            overlay = np.zeros((*box.mask.shape, 4))
            overlay[box.mask] = to_rgba(box.colour, MASK_OPACITY)
            axes.imshow(overlay, interpolation="antialiased", extent=(0, width, height, 0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.set_title(title, fontsize=9.5, loc="center")
    pixel = max(width, height) / (inches * 72)  # image pixels per point
    taken: list[tuple[float, float, float, float]] = []
    for box in boxes:
        left, top, right, bottom = box.corners
        style = "-" if box.matched else (0, (3, 2))
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=box.colour,
                linewidth=1.7,
                linestyle=style,
                path_effects=[withStroke(linewidth=3, foreground="white", alpha=0.7)],
            )
        )
    for box in boxes:
        x, y = _place(box, pixel, width, height, taken)
        axes.text(
            x, y, box.caption, fontsize=6.5, color="white", va="bottom", ha="left", zorder=5,
            bbox={"facecolor": box.colour, "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
        )  # fmt: skip


def _place(
    box: DrawnBox,
    pixel: float,
    width: int,
    height: int,
    taken: list[tuple[float, float, float, float]],
) -> tuple[float, float]:
    """Lower left corner of the caption: at a corner of the box where no other caption is yet."""
    left, top, right, bottom = box.corners
    wide, tall = (len(box.caption) * 4.0 + 3) * pixel, 10.5 * pixel
    x = min(max(left, 0.0), max(width - wide, 0.0))
    x_right = min(max(right - wide, 0.0), max(width - wide, 0.0))
    spots = [
        (x, top),
        (x, bottom + tall),
        (x_right, top),
        (x_right, bottom + tall),
        (x, top + tall),
    ]
    spots += [(x, top + step * tall) for step in range(2, 6)]
    inside = [(a, min(max(b, tall), float(height))) for a, b in spots]
    free = (
        spot
        for spot in inside
        if not any(
            spot[0] < other[2]
            and other[0] < spot[0] + wide
            and spot[1] - tall < other[3]
            and other[1] < spot[1]
            for other in taken
        )
    )
    chosen = next(free, inside[0])
    taken.append((chosen[0], chosen[1] - tall, chosen[0] + wide, chosen[1]))
    return chosen


def _legend() -> list[Line2D]:
    groups = [Line2D([], [], color=g.colour, linewidth=3, label=g.name) for g in GROUPS.values()]
    matched = Line2D([], [], color=INK, linewidth=1.6, label="matches an annotation")
    other = Line2D([], [], color=INK, linewidth=1.6, linestyle=(0, (3, 2)), label="does not")
    return [*groups, matched, other]
