"""job=fit: every stage of the configuration in order, then the evaluation of the last."""

from pathlib import Path

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only
from omegaconf import DictConfig

from bacl.checkpoints.handover import (
    Categories,
    inherit,
    load_stage,
    load_strictly,
    save_stage,
    saved_categories,
)
from bacl.data.datamodule import DetectionDataModule
from bacl.jobs.build import (
    build_data,
    build_stage,
    build_trainer,
    open_data,
    prepare_process,
    resume_path,
)
from bacl.jobs.evaluate import evaluate
from bacl.jobs.run_folder import plain, record
from bacl.stages import DetectionStage


def run(config: DictConfig, folder: Path) -> float:
    """Train what is not finished, evaluate, report; returns AP of the last stage's first head."""
    prepare_process()
    seed_everything(config.seed, verbose=False)
    table = open_data(config)
    record(config, folder)
    # Every stage is built before the first one trains: a bad option fails now, not in hours.
    stages = {name: build_stage(config, name) for name in config.stages}
    data = {name: build_data(config, config.stages[name].augment) for name in config.stages}
    categories = Categories(table.category_ids.tolist(), list(table.category_names))
    for name, stage in stages.items():
        trainer = train_stage(config, folder / name, name, stage, data[name], categories)
    return evaluate(config, folder, stage, trainer)


def train_stage(
    config: DictConfig,
    folder: Path,
    name: str,
    stage: DetectionStage,
    data: DetectionDataModule,
    categories: Categories,
) -> Trainer:
    """Bring one stage to its final.ckpt, unless it is there, and load it."""
    trainer = build_trainer(config, folder, stage.schedule)
    trainer.datamodule = data  # type: ignore[attr-defined]
    final = folder / "final.ckpt"
    if final.exists():
        rank_zero_info(f"{name}: finished before, taken from {final}")
    else:
        start = config.stages[name].init_from
        fit(trainer, folder, stage, categories, Path(start) if start else None)
        finish(folder, stage, categories, config)
        trainer.strategy.barrier("stage finished")
    # What is evaluated is what was saved, on every process: batch norms follow their own images.
    restore(stage, final, categories)
    return trainer


def fit(
    trainer: Trainer,
    folder: Path,
    stage: DetectionStage,
    categories: Categories,
    start: Path | None,
) -> None:
    """Train a stage, from where it was interrupted or from the stage saved in `start`."""
    resumed = resume_path(folder)
    if start is not None and not resumed:
        content = load_stage(start)
        categories.check(saved_categories(content), start)
        inherit(stage.detector, stage.heads, content, start)
    trainer.fit(stage, datamodule=trainer.datamodule, **resumed)  # type: ignore[attr-defined]


@rank_zero_only
def finish(folder: Path, stage: DetectionStage, categories: Categories, config: DictConfig) -> None:
    """Write the stage's final.ckpt; the checkpoint for resuming has served."""
    save_stage(folder / "final.ckpt", stage.detector, stage.heads, categories, plain(config))
    for served in (folder / "last.ckpt", *folder.glob(".last.*.ckpt")):  # a kill leaves the latter
        served.unlink(missing_ok=True)


def restore(stage: DetectionStage, path: Path, categories: Categories) -> None:
    """Load a finished stage: detector and every head."""
    content = load_stage(path)
    categories.check(saved_categories(content), path)
    load_strictly(stage.detector, content["detector"], path)
    missing = set(stage.heads) - set(content["heads"])
    if missing:
        raise ValueError(
            f"{path}: has no head {sorted(missing)}; its heads are {sorted(content['heads'])}"
        )
    for name, head in stage.heads.items():
        load_strictly(head, content["heads"][name], path)
