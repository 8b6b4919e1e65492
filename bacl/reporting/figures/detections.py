"""Ground truth and each head's detections side by side on validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.ops import box_iou

from bacl.data.batch import Detections, RunLengths
from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.style import INK, new_figure, save, styled
from bacl.reporting.groups import shades

MAX_DRAWN = 25  # boxes in one panel; the best ones, a picture with more cannot be read
MATCHING_IOU = 0.5
PANEL = 4.4  # inches
TINT = 0.5  # share of a mask's colour in its pixels


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
    masks: Sequence[RunLengths] | None = None
    """N masks of the ground truth in the size of the image, to draw them too."""


@dataclass(frozen=True)
class DrawnBox:
    """One rectangle with its caption, in pixels; drawn dashed where it is not `matched`."""

    corners: tuple[float, float, float, float]
    caption: str
    colour: str
    matched: bool
    mask: NDArray[np.bool_] | None = None
    """(H, W), the shape of the object."""


@styled
def draw_detection_grid(
    path: Path,
    samples: Sequence[DetectionSample],
    names: Sequence[str],
    grouping: Grouping,
    score_threshold: float,
) -> Path:
    """Draw images as rows: the ground truth first, then one panel per head.

    A detection is solid where it matches an annotation of its category (IoU of at least 0.5),
    dashed otherwise. Its mask, if it has one, tints the picture. In a federated data set a dashed
    box may still be right: not every object is annotated.

    Args:
        path: PNG to write.
        samples: the images.
        names: the categories' names.
        grouping: of the metric: the colour of a box.
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
    shade_of = shades(grouping)
    colours = [shade_of[key].colour for key in grouping.keys.tolist()]
    for row, sample in zip(axes, samples, strict=True):
        _draw_row(row, sample, names, colours, score_threshold)
    figure.legend(
        handles=_legend(grouping),
        loc="outside lower center",
        ncols=len(grouping.groups) + 2,
        frameon=False,
    )
    return save(figure, path, dpi=130)


def _draw_row(
    row: Sequence[Axes],
    sample: DetectionSample,
    names: Sequence[str],
    colours: Sequence[str],
    score_threshold: float,
) -> None:
    masks = chosen_masks(sample.masks, range(len(sample.boxes)))
    truth = [
        DrawnBox(tuple(box), names[label], colours[label], True, mask)
        for box, label, mask in zip(
            sample.boxes.tolist(), sample.labels.tolist(), masks, strict=True
        )
    ]
    parts = ["ground truth", sample.title, f"{len(truth)} objects"]
    draw_panel(row[0], sample.image, truth, " · ".join(part for part in parts if part))
    for axes, (head, found) in zip(row[1:], sample.detections.items(), strict=True):
        boxes = _boxes_of(found, sample, names, colours, score_threshold)
        shown = f"{min(len(boxes), MAX_DRAWN)} of " if len(boxes) > MAX_DRAWN else ""
        text = f"{head} · {shown}{len(boxes)} with score ≥ {score_threshold:g}"
        draw_panel(axes, sample.image, boxes[:MAX_DRAWN], text)


def _boxes_of(
    found: Detections,
    sample: DetectionSample,
    names: Sequence[str],
    colours: Sequence[str],
    score_threshold: float,
) -> list[DrawnBox]:
    kept = found.scores >= score_threshold
    masks = chosen_masks(found.masks, kept.nonzero().flatten().tolist())
    boxes, scores, labels = found.boxes[kept], found.scores[kept], found.labels[kept]
    matched = _match_truth(boxes, labels, sample)
    return [
        DrawnBox(tuple(box), f"{names[label]} {score:.2f}", colours[label], match, mask)
        for box, score, label, match, mask in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), matched, masks, strict=True
        )
    ]


def chosen_masks(
    masks: Sequence[RunLengths] | None, rows: Sequence[int]
) -> list[NDArray[np.bool_] | None]:
    """The masks of `rows`, (H, W) each; None for all without masks."""
    if masks is None or not len(rows):
        return [None] * len(rows)
    return list(coco_mask.decode([masks[row] for row in rows]).astype(bool).transpose(2, 0, 1))


def _tinted(image: NDArray[np.uint8], boxes: Sequence[DrawnBox]) -> NDArray[np.uint8]:
    """The picture under the boxes' masks, the best on top."""
    tinted = image.copy()
    for box in reversed(boxes):
        if box.mask is not None:
            colour = 255 * np.array(to_rgb(box.colour))
            tinted[box.mask] = TINT * colour + (1 - TINT) * image[box.mask]
    return tinted


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
    axes.imshow(_tinted(image, boxes), interpolation="antialiased", extent=(0, width, height, 0))
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


def _legend(grouping: Grouping) -> list[Line2D]:
    shade_of = shades(grouping)
    groups = [
        Line2D([], [], color=shade_of[group.key].colour, linewidth=3, label=group.name)
        for group in grouping.groups
    ]
    matched = Line2D([], [], color=INK, linewidth=1.6, label="matches an annotation")
    other = Line2D([], [], color=INK, linewidth=1.6, linestyle=(0, (3, 2)), label="does not")
    return [*groups, matched, other]
