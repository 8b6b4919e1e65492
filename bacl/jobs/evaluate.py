"""Evaluation of a trained stage: tables and pictures under the run's folder."""

from pathlib import Path

import rich
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.callbacks.figure_log import log_figure
from bacl.evaluation.results_json import ResultsWriter
from bacl.jobs.draw import draw
from bacl.jobs.run_folder import write_text
from bacl.reporting.results import results_markdown, results_table, write_results
from bacl.stages import DetectionStage

Results = dict[str, dict[str, float]]


def evaluate(config: DictConfig, folder: Path, stage: DetectionStage, trainer: Trainer) -> float:
    """Evaluate every head of a stage in one pass over the validation images.

    Writes results.json, results.md, per_category.csv and figures/*.png into `folder`, and AP and
    figures to the trainer's loggers.

    Returns:
        AP of the stage's first head, in [0, 1].
    """
    trainer.validate(stage, datamodule=trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
    results: Results = {
        head: {key: float(value) for key, value in metric.compute().items()}  # type: ignore[operator]
        for head, metric in stage.metrics.items()
    }
    if config.report.save_detections:
        save_detections(folder, stage, trainer)
    reference = config.report.reference
    ordered = {head: results[head] for head in sorted(results, key=lambda head: head != reference)}
    report(config, folder, stage, trainer, ordered)
    return next(iter(results.values()))["AP"]


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
    config: DictConfig, folder: Path, stage: DetectionStage, trainer: Trainer, results: Results
) -> None:
    """Write and print what an evaluation found; heads are compared with the first of `results`."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    table, counts = data.val_table, data.statistics
    groups = (table.frequency, counts.image_counts, counts.instance_counts)
    measures = {head: stage.metrics[head].per_category() for head in results}  # type: ignore[operator]
    write_results(folder, results, measures, table.category_names, *groups, table.category_ids)
    write_text(folder / "results.md", results_markdown(results, *groups))
    for path in draw(folder, stage, measures, data, config.report):
        log_figure(trainer.loggers, f"figures/{path.stem}", path, trainer.global_step)
    rich.print(results_table(results, *groups))
    print(f"Results, AP per category and pictures: {folder}")
