"""What a one-pass training leaves for each of its jobs: the folder of an ordinary run."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.assembly.build import chosen_stages
from bacl.assembly.trainer import build_loggers
from bacl.callbacks.classifier_recorder import draw_norms, last_norms
from bacl.evaluation.evaluation import Evaluation
from bacl.files.atomic import telling_refusal
from bacl.loggers.csv_logger import read_rows
from bacl.loggers.measurements import Quantity, named
from bacl.messages.dispensable import Dispensable
from bacl.one_pass.plan import PlannedJob
from bacl.one_pass.union import Names
from bacl.options.composed import last_stage, plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.folder import exclusive, record
from bacl.runs.kept_thresholds import keep_thresholds
from bacl.runs.lost_heads import command
from bacl.runs.outcome import write_failed
from bacl.runs.run import Run
from bacl.runs.saved_stage import save


def share_out(
    group: Run,
    job: PlannedJob,
    names: Names,
    found: Mapping[str, Evaluation],
    seconds: float,
) -> None:
    """Write one job's configuration, checkpoint, metrics, records, results and pictures.

    Every process calls it. DONE comes last: a kill leaves a job that is shared out again.

    Args:
        group: the one-pass training's last stage.
        job: whose folder is written.
        names: of the job's heads.
        found: of every variant of the group.
        seconds: of the whole training, for the record.
    """
    lost = _lost(group, names)
    with exclusive(job.folder):
        if lost:
            _give_up(group, job, lost)
        else:
            _share(group, job, names, found, seconds)


def _lost(group: Run, names: Names) -> dict[str, str]:
    """Why there is nothing of heads of a job, by its own names of them."""
    stage = group.stage
    heads, variants = stage.failed_heads.reasons, stage.failed_variants.reasons
    of_heads = {own: heads[each.head] for own, each in names.items() if each.head in stage.dropped}
    return of_heads | {
        own: variants[each.variant] for own, each in names.items() if each.variant in variants
    }


def _share(
    group: Run,
    job: PlannedJob,
    names: Names,
    found: Mapping[str, Evaluation],
    seconds: float,
) -> None:
    own = job.folder / last_stage(job.config)
    _prepare(group.folder, job, names)
    heads = {name: group.stage.live_heads[each.head] for name, each in names.items()}
    save(own, group.stage.detector, heads, group.categories, job.config)
    loggers = _replayed(group.folder / "metrics.csv", job, names, own)
    evaluations = {name: found[each.variant] for name, each in names.items()}
    report, step = plain(job.config)["report"], group.trainer.global_step
    if not report["errors"]:
        evaluations = {name: replace(each, errors=None) for name, each in evaluations.items()}
    conclusion = Conclusion(own, evaluations, heads, group.data, report, loggers, step)
    conclusion.write()
    keep_thresholds(own / "final.ckpt", evaluations)
    for logger in loggers:
        logger.finalize("success")
    _draw_norms(own / "heads", job.folder, conclusion)
    conclusion.write_page()
    conclusion.note_done(job.folder, own.name, seconds)


@rank_zero_only
def _give_up(group: Run, job: PlannedJob, lost: Mapping[str, str]) -> None:
    """Say why a job has no result, and leave what it would go on from alone."""
    _share_earlier(group.folder, job)
    why = "; ".join(f"{own}: {reason}" for own, reason in lost.items())
    write_failed(
        job.folder,
        f"{why} (training log: {group.folder.parent}). Its stages before are in its folder; alone "
        f"it goes on with: {command(job.overrides)}",
    )


@rank_zero_only
def _prepare(group: Path, job: PlannedJob, names: Names) -> None:
    """The job's configuration, the stages before the last, and the records of its heads.

    Args:
        group: folder of the group's last stage.
        job: see `share_out`.
        names: see `share_out`.
    """
    _share_earlier(group, job)
    # What an interrupted sharing-out left would be continued.
    shutil.rmtree(job.folder / group.name, ignore_errors=True)
    records = job.folder / group.name / "heads"
    with telling_refusal(records):
        records.mkdir(parents=True, exist_ok=True)
    for own, each in names.items():
        for path in (group / "heads").glob(f"{each.head}.*npz"):  # one per classifier
            shutil.copy(path, records / f"{own}{path.name.removeprefix(each.head)}")


def _share_earlier(group: Path, job: PlannedJob) -> None:
    """The job's configuration and the stages before the last, of the group's folder of that."""
    record(job.config, job.folder, trained_in=str(group.parent), overrides=job.overrides)
    for earlier in chosen_stages(job.config)[:-1]:
        shutil.copytree(
            group.parent / earlier, job.folder / earlier, copy_function=_link_checkpoints,
            ignore=shutil.ignore_patterns("wandb*", "tensorboard"), dirs_exist_ok=True,
        )  # fmt: skip


def _link_checkpoints(source: str, target: str) -> None:
    """Copy a file; checkpoints, which are only ever replaced, become a second name of one file."""
    Path(target).unlink(missing_ok=True)
    copy = os.link if source.endswith(".ckpt") else shutil.copy2
    try:
        copy(source, target)
    except OSError:  # a link to another file system, or on one without links
        shutil.copy2(source, target)


def _replayed(metrics_csv: Path, job: PlannedJob, names: Names, folder: Path) -> list[Logger]:
    """A job's own loggers, to which the group's training was told as if it were theirs."""
    loggers = build_loggers(job.config, folder)
    _replay(metrics_csv, names, loggers, plain(job.config))
    for logger in loggers:
        logger.save()
    return loggers


@rank_zero_only
def _replay(metrics: Path, names: Names, loggers: Sequence[Logger], config: dict[str, Any]) -> None:
    """Log the training again, as if the job's heads had been alone in it.

    Args:
        metrics: the group's metrics.csv.
        names: see `share_out`; heads of the job that are equal were trained as one.
        loggers: the job's.
        config: the job's.
    """
    for logger in loggers:
        logger.log_hyperparams(config)
    for step, values in read_rows(metrics):
        shared = {
            replace(quantity, head=own): value
            for quantity, value in values.items()
            for own in _owners(quantity, names)
        }
        if any(quantity.section for quantity in shared):
            for logger in loggers:
                logger.log_metrics(named(shared), step)


def _owners(quantity: Quantity, names: Names) -> list[str | None]:
    """The job's heads that a quantity is of; None where it is of no head."""
    if quantity.head is None:
        return [None]
    judged = quantity.section == "val"
    pairs = ((own, each.variant if judged else each.head) for own, each in names.items())
    return [own for own, name in pairs if name == quantity.head]


@rank_zero_only
def _draw_norms(records: Path, folder: Path, conclusion: Conclusion) -> None:
    grouping = next(iter(conclusion.evaluations.values())).grouping
    with Dispensable(f"{folder}: not drawn") as figures, figures.part("weight_norms.png"):
        draw_norms(records, last_norms(records), conclusion.data.statistics, grouping)
