"""Evaluation of a trained stage: tables, pictures and detections under the run's folder."""

from pathlib import Path

import numpy as np
import rich
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.callbacks.figure_log import log_figure
from bacl.data.collate import collate
from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.data.table import AnnotationTable
from bacl.jobs.build import build_trainer
from bacl.reporting import figures
from bacl.reporting.results import results_markdown, results_table, write_results
from bacl.stages import DetectionStage


def evaluate(
    config: DictConfig, folder: Path, stage: DetectionStage, data: DetectionDataModule, name: str
) -> float:
    """Evaluate every head of a stage in one pass over the validation images.

    Writes results.json, results.md, per_category.csv and figures/*.png under `folder`, and AP to
    the loggers of the stage `name`.

    Returns:
        AP of the stage's first head, in [0, 1].
    """
    trainer = build_trainer(config, folder / name, stage.schedule)
    trainer.validate(stage, datamodule=data, verbose=False)
    results = {
        head: {key: float(value) for key, value in metric.compute().items()}  # type: ignore[operator]
        for head, metric in stage.metrics.items()
    }
    _report(config, folder, stage, data, results)
    _log_figures(trainer, folder)
    return next(iter(results.values()))["AP"]


@rank_zero_only
def _report(
    config: DictConfig,
    folder: Path,
    stage: DetectionStage,
    data: DetectionDataModule,
    results: dict[str, dict[str, float]],
) -> None:
    table, counts = data.val_table, data.statistics
    groups = (table.frequency, counts.image_counts, counts.instance_counts)
    measures = {head: metric.per_category() for head, metric in stage.metrics.items()}  # type: ignore[operator]
    write_results(folder, results, measures, table.category_names, *groups, table.category_ids)
    (folder / "results.md").write_text(results_markdown(results, *groups))
    draw(folder / "figures", stage, measures, data, config)
    rich.print(results_table(results, *groups))
    rich.print(f"Results, AP per category and pictures: {folder}")


def draw(
    folder: Path,
    stage: DetectionStage,
    measures: dict[str, dict[str, np.ndarray]],
    data: DetectionDataModule,
    config: DictConfig,
) -> None:
    """Draw AP by training count, weight norms (Fig. 5) and detections beside the ground truth."""
    folder.mkdir(parents=True, exist_ok=True)
    table, counts = data.val_table, data.statistics
    average_precision = {head: values["AP"] for head, values in measures.items()}
    figures.draw_ap_by_count(
        folder / "ap_by_count.png",
        average_precision,
        counts.image_counts,
        table.frequency,
        table.category_names,
    )
    norms = {name: weight_norms(head.predictor) for name, head in stage.heads.items()}  # type: ignore[arg-type]
    figures.draw_weight_norms(
        folder / "weight_norms.png",
        {name: norm[: table.num_categories] for name, norm in norms.items()},
        counts.instance_counts,
        table.frequency,
    )
    chosen = informative_images(table, config.figures.images)
    dataset = data.val_dataloader().dataset
    samples = detection_samples(stage, dataset, chosen)  # type: ignore[arg-type]
    figures.draw_detection_grid(
        folder / "detections.png",
        samples,
        table.category_names,
        table.frequency,
        config.figures.score_threshold,
    )


def weight_norms(predictor: torch.nn.Linear) -> np.ndarray:
    """(K,) L2 norm of each logit's weights."""
    return predictor.weight.detach().norm(dim=1).cpu().numpy()


def informative_images(table: AnnotationTable, count: int) -> list[int]:
    """Rows of the images with the most objects of rare categories, ties in file order."""
    rare = (table.frequency == "r")[table.labels]
    owners = np.repeat(np.arange(table.num_images), np.diff(table.offsets))
    objects = np.bincount(owners[rare], minlength=table.num_images)
    return np.argsort(-objects, kind="stable")[:count].tolist()


def detection_samples(
    stage: DetectionStage, dataset: DetectionDataset, rows: list[int]
) -> list[figures.DetectionSample]:
    """The images with their annotated boxes and every head's detections, in file pixels."""
    stage.eval()
    samples = []
    for row in rows:
        batch = collate([dataset[row]])
        detected = {
            name: found[0].to("cpu") for name, found in stage.detect(batch.to(stage.device)).items()
        }
        target = batch.targets[0]
        image = dataset.files.load(row).permute(1, 2, 0).numpy()
        boxes = target.to_original(target.boxes)
        samples.append(
            figures.DetectionSample(
                image, boxes, target.labels, detected, f"image {target.image_id}"
            )
        )
    return samples


@rank_zero_only
def _log_figures(trainer: Trainer, folder: Path) -> None:
    for path in sorted((folder / "figures").glob("*.png")):
        log_figure(trainer.loggers, f"figures/{path.stem}", path, trainer.global_step)
