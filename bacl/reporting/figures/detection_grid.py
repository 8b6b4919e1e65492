"""Ground truth and each head's detections side by side on validation images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from bacl.data.batch import Detections, RunLengths
from bacl.evaluation.groups import Grouping
from bacl.reporting.figures.letters import label
from bacl.reporting.figures.panel import (
    MAX_DRAWN,
    PANEL,
    DrawnBox,
    Outline,
    caption,
    chosen_masks,
    draw_panel,
)
from bacl.reporting.figures.style import INK, MUTED, new_figure, save, styled
from bacl.reporting.group_colours import shades

MATCHING_IOU = 0.5


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
    judged: NDArray[np.bool_] | None = None
    """(C,) categories of which a detection that matches nothing is wrong; None: all of them."""


@styled
def draw_detection_grid(
    path: Path,
    samples: Sequence[DetectionSample],
    names: Sequence[str],
    grouping: Grouping,
    score_threshold: float | None,
) -> Path:
    """Draw images as rows: the ground truth first, then one panel per head.

    A detection is solid where it matches an annotation of its category (IoU of at least 0.5), else
    dashed or, where the data do not tell whether it is wrong, thin and grey. Its mask, if it has
    one, tints the picture.

    Args:
        path: PNG to write.
        samples: the images.
        names: the categories' names.
        grouping: of the metric: the colour of a box.
        score_threshold: detections below it are not drawn; None takes each head's
            `balanced_threshold`, so that a head does not look better for higher scores.

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
    thresholds = {
        head: balanced_threshold(samples, head) if score_threshold is None else score_threshold
        for head in heads[0]
    }
    for row, sample in zip(axes, samples, strict=True):
        _draw_row(row, sample, names, colours, thresholds)
    legend = _legend(grouping, any(sample.judged is not None for sample in samples))
    _add_legend(figure, legend, columns)
    return save(figure, path, dpi=130)


def balanced_threshold(samples: Sequence[DetectionSample], head: str) -> float:
    """The score from which on a head has as many detections in the images as they have objects.

    Its lowest score where it has fewer, its highest where there is no object, 1 without detections.
    """
    scores = torch.cat([sample.detections[head].scores for sample in samples])
    wanted = max(sum(len(sample.boxes) for sample in samples), 1)
    return float(scores.topk(min(wanted, len(scores))).values[-1]) if len(scores) else 1.0


def _draw_row(
    row: Sequence[Axes],
    sample: DetectionSample,
    names: Sequence[str],
    colours: Sequence[str],
    thresholds: Mapping[str, float],
) -> None:
    masks = chosen_masks(sample.masks, range(len(sample.boxes)))
    truth = [
        DrawnBox(tuple(box), caption(names[each]), colours[each], mask=mask)
        for box, each, mask in zip(
            sample.boxes.tolist(), sample.labels.tolist(), masks, strict=True
        )
    ]
    parts = ["ground truth", sample.title, f"{len(truth)} objects"]
    draw_panel(row[0], sample.image, truth, " · ".join(part for part in parts if part))
    for axes, (head, found) in zip(row[1:], sample.detections.items(), strict=True):
        boxes = _boxes_of(found, sample, names, colours, thresholds[head])
        shown = f"{min(len(boxes), MAX_DRAWN)} of " if len(boxes) > MAX_DRAWN else ""
        text = f"{label(head)} · {shown}{len(boxes)} with score ≥ {thresholds[head]:.3g}"
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
    outlines = outlines_of(boxes, labels, sample)
    return [
        DrawnBox(
            tuple(box),
            caption(names[each], score),
            MUTED if outline is Outline.THIN else colours[each],
            outline,
            mask,
        )
        for box, score, each, outline, mask in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), outlines, masks, strict=True
        )
    ]


def outlines_of(boxes: Tensor, labels: Tensor, sample: DetectionSample) -> list[Outline]:
    """How each of the detections (K, 4), (K,) is drawn: matched, wrong, or neither."""
    overlap = box_iou(boxes.float().cpu(), sample.boxes.float().cpu())
    same = labels.cpu()[:, None] == sample.labels.cpu()[None]
    matched = ((overlap >= MATCHING_IOU) & same).any(dim=1).tolist()
    judged = [sample.judged is None or bool(sample.judged[label]) for label in labels.tolist()]
    return [
        Outline.SOLID if right else Outline.DASHED if wrong else Outline.THIN
        for right, wrong in zip(matched, judged, strict=True)
    ]


def _add_legend(figure: Figure, handles: Sequence[Line2D], columns: int) -> None:
    """Below the panels; in two lines where one would be wider than they are."""
    wide = -(-len(handles) // 2) if len(handles) > 2.5 * columns else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=wide, frameon=False)


def _legend(grouping: Grouping, federated: bool) -> list[Line2D]:
    shade_of = shades(grouping)
    lines = [
        Line2D([], [], color=shade_of[group.key].colour, linewidth=3, label=group.name)
        for group in grouping.present
    ]
    texts = {Outline.SOLID: "matches an annotation", Outline.DASHED: "does not"}
    texts |= {Outline.THIN: "not judged"} if federated else {}
    for outline, text in texts.items():
        colour = MUTED if outline is Outline.THIN else INK
        lines.append(Line2D([], [], color=colour, label=text, **outline.options))
    return lines
