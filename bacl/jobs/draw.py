"""The pictures of an evaluated stage."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from bacl.callbacks.classifier_recorder import measure
from bacl.data.collate import collate
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.data.table import AnnotationTable
from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.groups import Grouping
from bacl.evaluation.truth import GroundTruth
from bacl.heads import classifiers_by_name
from bacl.reporting import figures
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
        Each picture's path once it is written.
    """
    pictures = folder / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    table, counts = data.val_table, data.statistics
    names, grouping = table.category_names, metric.grouping
    for curves in filter(figures.has_losses, folder.glob("metrics.csv")):
        yield figures.draw_losses(pictures / "losses.png", curves, list(measures))
    precision = {head: values["AP"] for head, values in measures.items()}
    yield figures.draw_ap_by_count(
        pictures / "ap_by_count.png",
        precision,
        grouping.counts(counts.image_counts, counts.instance_counts),
        grouping,
        names,
    )
    heads: dict[str, Any] = {head: stage.heads[head] for head in measures}
    norms = {
        name: measure(classifier)["weight_norm"][: table.num_categories]
        for name, classifier in classifiers_by_name(heads).items()
    }
    yield figures.draw_weight_norms(
        pictures / "weight_norms.png", norms, counts.instance_counts, grouping
    )
    rows = informative_images(table, grouping, options.images)
    dataset: DetectionDataset = data.val_dataloader().dataset  # type: ignore[assignment]
    truth = GroundTruth.from_table(table, metric.rules)
    samples = [detection_sample(stage, dataset, row, list(measures), truth) for row in rows]
    yield figures.draw_detection_grid(
        pictures / "detections.png", samples, names, grouping, options.score_threshold
    )


def informative_images(table: AnnotationTable, grouping: Grouping, count: int) -> list[int]:
    """Rows of the images with the most objects of the rarest group, ties in file order."""
    rare = grouping.present[0].members[table.labels]
    owners = np.repeat(np.arange(table.num_images), np.diff(table.offsets))
    objects = np.bincount(owners[rare], minlength=table.num_images)
    return np.argsort(-objects, kind="stable")[:count].tolist()


def detection_sample(
    stage: DetectionStage,
    dataset: DetectionDataset,
    row: int,
    heads: list[str],
    truth: GroundTruth,
) -> figures.DetectionSample:
    """One image with its annotations and the heads' detections, in pixels of the file."""
    stage.eval()
    batch = collate([dataset[row]])
    target = batch.targets[0]
    detected = stage.detect(batch.to(stage.device))
    judged = truth.judged(target.image_id)
    segmented = any(found[0].masks is not None for found in detected.values())
    return figures.DetectionSample(
        image=dataset.files.load(row).permute(1, 2, 0).numpy(),
        boxes=target.to_original(target.boxes),
        labels=target.labels,
        detections={head: detected[head][0].to("cpu") for head in heads},
        title=f"image {target.image_id}",
        masks=dataset.annotated_masks(row) if segmented else None,
        judged=None if judged.all() else judged,
    )
