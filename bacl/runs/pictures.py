"""The pictures of an evaluated stage."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from bacl.callbacks.classifier_recorder import measure
from bacl.data.annotations.table import AnnotationTable
from bacl.data.collate import collate
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.groups import Grouping
from bacl.evaluation.truth import GroundTruth
from bacl.heads import classifiers_by_name
from bacl.messages.dispensable import Dispensable
from bacl.reporting.figures import (
    DetectionSample,
    draw_ap_by_count,
    draw_detection_grid,
    draw_losses,
    draw_weight_norms,
    has_losses,
)
from bacl.stages import DetectionStage


def draw(
    folder: Path,
    stage: DetectionStage,
    measures: Mapping[str, Mapping[str, np.ndarray]],
    data: DetectionDataModule,
    metric: AveragePrecision,
    options: DictConfig,
) -> Iterator[Path]:
    """Draw losses, AP by training count, weight norms (Fig. 5) and detections beside the truth.

    Args:
        folder: of the stage; pictures go to its figures/.
        stage: an evaluated stage.
        measures: `per_category` of every head's metric, in the order of the legend.
        data: of the stage.
        metric: of any head: its groups and its rules are all heads'.
        options: `images` and `score_threshold` of the detections to draw.

    Yields:
        Each picture's path once it is written; one that cannot be drawn is told and left out.
    """
    pictures = folder / "figures"
    heads = list(measures)
    drawings: dict[str, Callable[[Path], Path]] = {
        "ap_by_count.png": partial(_draw_precision, measures, data, metric.grouping),
        "weight_norms.png": partial(_draw_norms, stage, heads, data, metric.grouping),
        "detections.png": partial(_draw_detections, stage, heads, data, metric, options),
    }
    with Dispensable(f"{pictures}: not drawn") as figures:
        for curves in folder.glob("metrics.csv"):
            with figures.part("losses.png"):
                if has_losses(curves):
                    yield draw_losses(pictures / "losses.png", curves, heads)
        for name, drawing in drawings.items():
            with figures.part(name):
                yield drawing(pictures / name)


def _draw_precision(
    measures: Mapping[str, Mapping[str, np.ndarray]],
    data: DetectionDataModule,
    grouping: Grouping,
    path: Path,
) -> Path:
    counts = data.statistics
    trained = grouping.counts(counts.image_counts, counts.instance_counts)
    precision = {head: values["AP"] for head, values in measures.items()}
    return draw_ap_by_count(path, precision, trained, grouping, data.val_table.category_names)


def _draw_norms(
    stage: DetectionStage,
    heads: list[str],
    data: DetectionDataModule,
    grouping: Grouping,
    path: Path,
) -> Path:
    own: dict[str, Any] = {head: stage.heads[head] for head in heads}
    norms = {
        name: measure(classifier)["weight_norm"][: data.val_table.num_categories]
        for name, classifier in classifiers_by_name(own).items()
    }
    return draw_weight_norms(path, norms, data.statistics.instance_counts, grouping)


def _draw_detections(
    stage: DetectionStage,
    heads: list[str],
    data: DetectionDataModule,
    metric: AveragePrecision,
    options: DictConfig,
    path: Path,
) -> Path:
    table, grouping = data.val_table, metric.grouping
    dataset: DetectionDataset = data.val_dataloader().dataset  # type: ignore[assignment]
    rows = informative_images(table, grouping, options.images, dataset.records)
    truth = GroundTruth.from_table(table, metric.rules)
    indices = np.searchsorted(dataset.records, rows).tolist()
    samples = [detection_sample(stage, dataset, each, heads, truth) for each in indices]
    names = table.category_names
    return draw_detection_grid(path, samples, names, grouping, options.score_threshold)


def informative_images(
    table: AnnotationTable, grouping: Grouping, count: int, among: np.ndarray
) -> list[int]:
    """Rows of the images with the most objects of the rarest group, ties in file order.

    Args:
        table: of the images.
        grouping: of the categories.
        count: of the images, at most.
        among: (n,) rows to choose from.
    """
    rare = grouping.present[0].members[table.labels]
    owners = np.repeat(np.arange(table.num_images), np.diff(table.offsets))
    objects = np.bincount(owners[rare], minlength=table.num_images)
    return among[np.argsort(-objects[among], kind="stable")][:count].tolist()


def detection_sample(
    stage: DetectionStage,
    dataset: DetectionDataset,
    index: int,
    heads: list[str],
    truth: GroundTruth,
) -> DetectionSample:
    """One image with its annotations and the heads' detections, in pixels of the file."""
    stage.eval()
    batch = collate([dataset[index]])
    target = batch.targets[0]
    detected = stage.detect(batch.to(stage.device))
    judged = truth.judged(target.image_id)
    segmented = any(found[0].masks is not None for found in detected.values())
    return DetectionSample(
        image=dataset.files.load(int(dataset.records[index])).permute(1, 2, 0).numpy(),
        boxes=target.to_original(target.boxes),
        labels=target.labels,
        detections={head: detected[head][0].to("cpu") for head in heads},
        title=f"image {target.image_id}",
        masks=dataset.annotated_masks(index) if segmented else None,
        judged=None if judged.all() else judged,
    )
