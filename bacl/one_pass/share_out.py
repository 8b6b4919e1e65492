"""What a one-pass training leaves for each of its jobs: the folder of an ordinary run."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.assembly.build import build_loggers, chosen_stages
from bacl.callbacks.classifier_recorder import draw_norms, last_norms
from bacl.checkpoints.handover import Categories
from bacl.evaluation.groups import shared_grouping
from bacl.files.atomic import telling_refusal
from bacl.loggers.csv_logger import read_rows
from bacl.messages.dispensable import Dispensable
from bacl.one_pass.plan import PlannedJob
from bacl.options.composed import last_stage, plain
from bacl.runs.evaluated import conclude
from bacl.runs.folder import record
from bacl.runs.outcome import write_done, write_failed
from bacl.runs.training import finish
from bacl.stages import DetectionStage
from bacl.stages.stage import CLASSIFICATION


def share_out(
    group: Path,
    job: PlannedJob,
    names: Mapping[str, str],
    stage: DetectionStage,
    trainer: Trainer,
    seconds: float,
) -> None:
    """Write one job's configuration, checkpoint, metrics, records, results and pictures.

    Every process calls it. DONE comes last: a kill leaves a job that is shared out again.

    Args:
        group: folder of the one-pass training.
        job: whose folder is written.
        names: the job's names of its heads, to the stage's.
        stage: after a validation of all heads.
        trainer: of the stage.
        seconds: of the whole training, for the record.
    """
    lost = [own for own, head in names.items() if head in stage.dropped]
    if lost:
        return _give_up(job, lost, group)
    last = last_stage(job.config)
    own = job.folder / last
    part = stage.part(names)
    _prepare(group, job, names, last)
    categories = Categories.of(trainer.datamodule.train_table)  # type: ignore[attr-defined]
    finish(own, part, categories, job.config)
    loggers = build_loggers(job.config, own)
    metrics = group / last / "metrics.csv"
    _replay(metrics, names, set(stage.heads), loggers, plain(job.config))
    for logger in loggers:
        logger.save()
    results = conclude(job.config, own, part, trainer, loggers)
    for logger in loggers:
        logger.finalize("success")
    if trainer.is_global_zero:
        records, statistics = own / "heads", trainer.datamodule.statistics  # type: ignore[attr-defined]
        with Dispensable(f"{job.folder}: not drawn") as figures, figures.part("weight_norms.png"):
            draw_norms(records, last_norms(records), statistics, shared_grouping(part.metrics))  # type: ignore[arg-type]
        write_done(job.folder, last, results, seconds)


@rank_zero_only
def _give_up(job: PlannedJob, lost: Sequence[str], group: Path) -> None:
    write_failed(
        job.folder, f"the loss of {', '.join(lost)} was no longer finite (training log: {group})"
    )


@rank_zero_only
def _prepare(group: Path, job: PlannedJob, names: Mapping[str, str], last: str) -> None:
    """The job's configuration, the stages before the last, and the records of its heads."""
    # What an interrupted sharing-out left would be continued.
    shutil.rmtree(job.folder / last, ignore_errors=True)
    record(job.config, job.folder, trained_in=str(group), overrides=job.overrides)
    for earlier in chosen_stages(job.config)[:-1]:
        shutil.copytree(
            group / earlier, job.folder / earlier, copy_function=_link_checkpoints,
            ignore=shutil.ignore_patterns("wandb*", "tensorboard"), dirs_exist_ok=True,
        )  # fmt: skip
    records = job.folder / last / "heads"
    with telling_refusal(records):
        records.mkdir(parents=True, exist_ok=True)
    for own, head in names.items():
        for path in (group / last / "heads").glob(f"{head}.*npz"):  # one per classifier
            shutil.copy(path, records / f"{own}{path.name.removeprefix(head)}")


def _link_checkpoints(source: str, target: str) -> None:
    """Copy a file; checkpoints, which are only ever replaced, become a second name of one file."""
    Path(target).unlink(missing_ok=True)
    copy = os.link if source.endswith(".ckpt") else shutil.copy2
    try:
        copy(source, target)
    except OSError:  # a link to another file system, or on one without links
        shutil.copy2(source, target)


@rank_zero_only
def _replay(
    metrics: Path,
    names: Mapping[str, str],
    heads: set[str],
    loggers: Sequence[Logger],
    config: dict[str, Any],
) -> None:
    """Log the training again, as if the job's heads had been alone in it.

    Args:
        metrics: the group's metrics.csv.
        names: the job's names of its heads, to the group's.
        heads: the group's names of all heads.
        loggers: the job's.
        config: the job's.
    """
    for logger in loggers:
        logger.log_hyperparams(config)
    for step, values in read_rows(metrics):
        named = [(own, v) for name, v in values.items() for own in own_columns(name, names, heads)]
        if any(name != "epoch" for name, _ in named):
            for logger in loggers:
                logger.log_metrics(dict(named), step)


def own_columns(name: str, names: Mapping[str, str], heads: set[str]) -> list[str]:
    """A metric's names in the job's own run: none if it belongs to a head of another job.

    It has several where heads of the job are equal and trained as one.

    >>> own_columns("train/bacl_3_classification", {"bacl": "bacl_3"}, {"bacl_3", "bacl_4"})
    ['train/bacl_classification']
    """
    parts = name.split("/")
    for place, part in enumerate(parts):
        head = part.removesuffix(CLASSIFICATION).partition(".")[0]
        if head in heads:
            rest = part[len(head) :]
            owners = [own for own, trained in names.items() if trained == head]
            return ["/".join([*parts[:place], own + rest, *parts[place + 1 :]]) for own in owners]
    return [name]
