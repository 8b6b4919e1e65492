"""TensorBoard, with what it can show of a run."""

import os
from collections.abc import Mapping
from functools import singledispatch
from typing import Annotated, Any

import numpy as np
from annotated_types import Len
from lightning.pytorch.loggers import TensorBoardLogger as LightningTensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image

from bacl.loggers.exhibits import BoxedPictures, Exhibit, Figure, Histogram, Showcase, Table
from bacl.messages.shown import as_markdown
from bacl.options.ranges import Text

LONGEST = 100
"""Rows of a table, which is a page of text here; the file beside it has all."""


class TensorBoardLogger(LightningTensorBoardLogger, Showcase):
    """Lightning's, which shows pictures, boxes, histograms, and the beginnings of tables."""

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: Annotated[str, Len(0, 200)] | None = "",
        version: int | Text | None = "tensorboard",
        default_hp_metric: bool = False,
    ) -> None:
        """Log into `<save_dir>/<name>/<version>`.

        Args:
            save_dir: the stage's folder.
            name: of a folder in it; "" for none.
            version: of a folder in that one.
            default_hp_metric: whether a metric is logged beside the hyperparameters.
        """
        super().__init__(os.fspath(save_dir), name, version, default_hp_metric=default_hp_metric)

    @rank_zero_only
    def show(self, exhibits: Mapping[str, Exhibit], step: int) -> None:
        """Show all but line plots, for which there is no form here."""
        for key, exhibit in exhibits.items():
            write(exhibit, self.experiment, key, step)


@singledispatch
def write(exhibit: Exhibit, writer: Any, key: str, step: int) -> None:
    """Write an exhibit; one without a form here is passed over."""


@write.register
def _(exhibit: Figure, writer: Any, key: str, step: int) -> None:
    with Image.open(exhibit.path) as picture:
        writer.add_image(key, np.asarray(picture.convert("RGB")), step, dataformats="HWC")


@write.register
def _(exhibit: BoxedPictures, writer: Any, key: str, step: int) -> None:
    for number, picture in enumerate(exhibit.pictures):
        height, width = picture.image.shape[:2]
        for name, layer in picture.layers.items():
            corners = layer.corners.reshape(-1, 4) * (width, height, width, height)
            writer.add_image_with_boxes(
                f"{key}/{number}/{name}", picture.image, corners, step, dataformats="HWC",
                labels=[_in_ascii(caption) for caption in layer.captions],
            )  # fmt: skip


@write.register
def _(exhibit: Histogram, writer: Any, key: str, step: int) -> None:
    counts, edges = np.asarray(exhibit.counts, float), np.asarray(exhibit.edges, float)
    middles = (edges[1:] + edges[:-1]) / 2
    writer.add_histogram_raw(
        key, min=float(edges[0]), max=float(edges[-1]), num=int(counts.sum()),
        sum=float(counts @ middles), sum_squares=float(counts @ middles**2),
        bucket_limits=edges[1:].tolist(), bucket_counts=counts.tolist(), global_step=step,
    )  # fmt: skip


@write.register
def _(exhibit: Table, writer: Any, key: str, step: int) -> None:
    lines = [list(exhibit.columns), ["---"] * len(exhibit.columns)]
    lines += [[as_markdown(_text(cell)) for cell in row] for row in exhibit.rows[:LONGEST]]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    if len(exhibit.rows) > LONGEST:
        text += f"\n\n{LONGEST} of {len(exhibit.rows):,} rows"
    writer.add_text(key, text, step)


def _text(cell: object) -> str:
    return "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _in_ascii(caption: str) -> str:
    """The letters that the drawn font has."""
    return caption.encode("ascii", "replace").decode("ascii")
