"""Evaluation of a trained stage: tables and pictures under the run's folder."""

from collections.abc import Sequence
from pathlib import Path

import rich
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.evaluation.average_precision import AveragePrecision
from bacl.evaluation.results_json import ResultsWriter
from bacl.loggers.figures import log_figure
from bacl.messages.dispensable import Dispensable
from bacl.processes.interruption import INTERRUPTION
from bacl.reporting.results import results_markdown, results_table, write_results
from bacl.runs.folder import write_text
from bacl.runs.pictures import draw
from bacl.stages import DetectionStage

Results = dict[str, dict[str, float]]


def evaluate(config: DictConfig, folder: Path, stage: DetectionStage, trainer: Trainer) -> Results:
    """Evaluate every head of a stage in one pass over the validation images, and `conclude`."""
    INTERRUPTION.place = "in its evaluation"
    trainer.validate(stage, datamodule=trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
    return conclude(config, folder, stage, trainer, trainer.loggers)


def conclude(
    config: DictConfig,
    folder: Path,
    stage: DetectionStage,
    trainer: Trainer,
    loggers: Sequence[Logger],
) -> Results:
    """Write and draw what a stage's metrics hold after a validation.

    Writes results.json, results.md, per_category.csv and figures/*.png into `folder`, and figures
    to the loggers. Every process must call it.

    Returns:
        Measures of every head, in the stage's order.
    """
    results: Results = stage.measures()
    if config.report.save_detections:
        save_detections(folder, stage, trainer)
    report(config, folder, stage, trainer, loggers, results)
    return results


def save_detections(folder: Path, stage: DetectionStage, trainer: Trainer) -> None:
    """Write every head's detections in the LVIS results format; every process must call it."""
    for head, metric in stage.metrics.items():
        columns = metric.detections()  # type: ignore[operator]
        if trainer.is_global_zero:
            table = trainer.datamodule.val_table  # type: ignore[attr-defined]
            with ResultsWriter(folder / f"detections_{head}.json.gz", table) as writer:
                writer.write_columns(columns)


@rank_zero_only
def report(
    config: DictConfig,
    folder: Path,
    stage: DetectionStage,
    trainer: Trainer,
    loggers: Sequence[Logger],
    results: Results,
) -> None:
    """Write what an evaluation found, then draw and print it, which cannot end the run.

    Heads are compared with `report.reference`.

    Raises:
        UnwritableError: a file of results cannot be written; the same command tries again.
    """
    reference = config.report.reference
    results = {head: results[head] for head in sorted(results, key=lambda head: head != reference)}
    data = trainer.datamodule  # type: ignore[attr-defined]
    table, counts = data.val_table, data.statistics
    metric: AveragePrecision = stage.metrics[next(iter(results))]  # type: ignore[assignment]
    groups = (metric.grouping, counts.image_counts, counts.instance_counts)
    measures = {head: stage.metrics[head].per_category() for head in results}  # type: ignore[operator]
    names, ids, part = table.category_names, table.category_ids, metric.part
    write_results(folder, results, measures, names, *groups, ids, part)
    write_text(folder / "results.md", results_markdown(results, *groups, part))
    for path in draw(folder, stage, measures, data, metric, config.report):
        log_figure(loggers, f"figures/{path.stem}", path, trainer.global_step)
    with Dispensable("not shown") as shown, shown.part("table of results"):
        rich.print(results_table(results, *groups, part))
        print(f"Results, AP per category and pictures: {folder}")
