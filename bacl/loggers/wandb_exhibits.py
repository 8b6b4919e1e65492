"""Exhibits as W&B knows them."""

from functools import singledispatch
from typing import Any

import wandb

from bacl.loggers.exhibits import (
    BoxedPicture,
    BoxedPictures,
    BoxLayer,
    Exhibit,
    Figure,
    Histogram,
    Lines,
    Table,
)

QUALITY_FORMAT = "jpg"
"""Of photographs: a tenth of their PNG."""


@singledispatch
def as_wandb(exhibit: Exhibit) -> Any:
    """What `wandb.Run.log` takes.

    Raises:
        TypeError: nobody has said how such an exhibit is shown.
    """
    raise TypeError(f"no form for {type(exhibit).__name__}")


@as_wandb.register
def _(exhibit: Figure) -> Any:
    return wandb.Image(str(exhibit.path))


@as_wandb.register
def _(exhibit: BoxedPictures) -> Any:
    # W&B writes the names beside every layer of every picture.
    names = dict(exhibit.names)
    return [_picture(each, names) for each in exhibit.pictures]


@as_wandb.register
def _(exhibit: Table) -> Any:
    return wandb.Table(columns=list(exhibit.columns), data=[list(row) for row in exhibit.rows])


@as_wandb.register
def _(exhibit: Histogram) -> Any:
    return wandb.Histogram(np_histogram=(exhibit.counts.tolist(), exhibit.edges.tolist()))


@as_wandb.register
def _(exhibit: Lines) -> Any:
    size = max(map(len, exhibit.series.values()), default=0)
    return wandb.plot.line_series(
        list(range(size)), [values.tolist() for values in exhibit.series.values()],
        keys=list(exhibit.series), title=exhibit.title, xname=exhibit.places,
    )  # fmt: skip


def _picture(picture: BoxedPicture, names: dict[int, str]) -> wandb.Image:
    # A layer without a box would have no switch, but W&B refuses it.
    boxes = {
        key: {"box_data": _boxes(layer), "class_labels": names}
        for key, layer in picture.layers.items()
        if len(layer.labels)
    }
    return wandb.Image(
        picture.image, caption=picture.title, boxes=boxes, file_type=QUALITY_FORMAT
    )  # fmt: skip


def _boxes(layer: BoxLayer) -> list[dict[str, Any]]:
    """The best first, as they come."""
    sides = ("minX", "minY", "maxX", "maxY")
    rows = zip(layer.corners.tolist(), layer.labels, layer.captions, strict=True)
    boxes: list[dict[str, Any]] = [
        {
            "position": dict(zip(sides, corners, strict=True)),
            "class_id": int(label),
            "box_caption": caption,
        }
        for corners, label, caption in rows
    ]
    if layer.scores is not None:
        for box, score in zip(boxes, layer.scores, strict=True):
            box["scores"] = {"score": float(score)}
    return boxes
