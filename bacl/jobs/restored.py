"""A trained model from its final.ckpt alone: the file holds its configuration and categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    State,
    fill,
    load_stage,
    saved_categories,
)
from bacl.errors import OptionError
from bacl.jobs.build import build_stage, chosen_stages
from bacl.jobs.check import check_arguments
from bacl.jobs.configuration import plain
from bacl.stages import DetectionStage

MODEL = (
    *("data", "detector", "head", "stages", "box_generator", "metric", "seed"),
    *("datamodule", "report"),
)
"""What describes a trained model and how it was evaluated; the rest says what to do with it."""
WHOLE = ("experiment", "pipeline")
"""Groups whose choice describes the model as a whole."""
STATISTICS = "bacl.data.statistics.CategoryStatistics"


@dataclass(frozen=True)
class Restored:
    """A finished stage in eval mode."""

    path: Path
    name: str
    """Of the stage."""
    stage: DetectionStage
    categories: Categories
    config: DictConfig
    """What it was built from."""

    def only_head(self, head: str | None, option: str) -> str:
        """The head that `option` names, or the only one.

        Raises:
            OptionError: there is no such head, or there are several to choose from.
        """
        heads = list(self.stage.heads)
        if head is None and len(heads) > 1:
            raise OptionError(f"{option}: name one of the checkpoint's heads, {', '.join(heads)}")
        if head is not None and head not in heads:
            raise OptionError(
                f"{option}={head}: {self.path} has no such head; it has {', '.join(heads)}"
            )
        return heads[0] if head is None else head


def restore_model(config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> Restored:
    """Build and load what `checkpoint=…` holds, or the run's own last stage; no data are needed.

    The model is described by the configuration in the file, changed by what the command says of it.
    A command that chooses an experiment or a pipeline describes the model itself.

    Args:
        config: the composed configuration.
        folder: of the run.
        overrides: of the command, as `+experiment=…` or `detector.postprocess.nms_iou=0.6`.

    Raises:
        CheckpointError: the file is missing or damaged, or does not fit the model.
        OptionError: `data.num_classes` asks for another number than the checkpoint has.
    """
    path, content, named = described_model(config, folder, overrides)
    categories = saved_categories(content)
    described = OmegaConf.create(_without_data(plain(named), categories.names))
    check_arguments(described)
    return rebuilt(path, content, categories, described)


def rebuilt(path: Path, content: State, categories: Categories, config: DictConfig) -> Restored:
    """The stage that a checkpoint's content is of, built from a configuration and filled.

    Raises:
        CheckpointError: the content does not fit the configuration.
    """
    name = stage_of(config, content, path)
    stage = build_stage(config, name, pretrained=False)
    fill(stage.detector, dict(stage.heads.items()), content, path)
    return Restored(path, name, stage.eval(), categories, config)


def described_model(
    config: DictConfig, folder: Path, overrides: Sequence[str] = ()
) -> tuple[Path, State, DictConfig]:
    """A checkpoint's path and content, and the configuration of its model (`restore_model`)."""
    path = Path(config.checkpoint or folder / chosen_stages(config)[-1] / "final.ckpt")
    content = load_stage(path)
    return path, content, _described(config, content, overrides, path)


def command_overrides() -> list[str]:
    """Overrides of the running command; none where nothing runs under Hydra."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def keep_head(stage: DetectionStage, head: str) -> None:
    """Leave a stage with one of its heads."""
    stage.heads = nn.ModuleDict({head: stage.heads[head]})


def _described(
    config: DictConfig, content: State, overrides: Sequence[str], path: Path
) -> DictConfig:
    """The configuration of the model, resolved."""
    names = content["categories"]["names"]
    if config.data.num_classes not in (None, len(names)):
        raise OptionError(
            f"data.num_classes={config.data.num_classes}, but {path} was trained on {len(names)} "
            "categories; leave it null"
        )
    composed = config.copy()
    with open_dict(composed):
        composed.data.num_classes = len(names)
    described: DictConfig = OmegaConf.create(plain(composed))
    keys = [_key(text) for text in overrides]
    if content.get("config") and not set(WHOLE) & set(keys):
        for node in MODEL:
            described[node] = content["config"].get(node, described[node])
        for key, text in zip(keys, overrides, strict=True):
            if key.split(".")[0] in MODEL:
                _take(described, key, plain(composed), removed=text.startswith("~"))
        described.data.num_classes = len(names)
    return described


def _key(override: str) -> str:
    """Path of the node that an override sets; for a group without one of its own, its name."""
    choice = override.split("=")[0].lstrip("+~")
    return choice.rpartition("@")[2]


def _take(described: DictConfig, key: str, composed: dict[str, Any], removed: bool) -> None:
    """Set one node as the command composed it, or remove it."""
    if removed:
        parent = OmegaConf.select(described, key.rpartition(".")[0])
        if parent is not None:
            parent.pop(key.rpartition(".")[2], None)
        return
    value: Any = composed
    for part in key.split("."):
        value = value[part]
    OmegaConf.update(described, key, value, merge=False, force_add=True)


def _without_data(node: Any, names: list[str]) -> Any:
    """The configuration with counts that read no file: buffers with the true ones are loaded."""
    if isinstance(node, list):
        return [_without_data(value, names) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("_target_") == f"{STATISTICS}.load":
        return {"_target_": f"{STATISTICS}.unknown", "names": names}
    return {key: _without_data(value, names) for key, value in node.items()}


def stage_of(config: DictConfig, content: State, path: Path) -> str:
    """The stage that the checkpoint is of: all its heads are in the file."""
    heads = {name: set(node.heads) for name, node in config.stages.items()}
    fitting = [name for name, of_stage in heads.items() if of_stage <= set(content["heads"])]
    wanted = [config.stage] if config.stage is not None else fitting[-1:]
    if not set(wanted) & set(fitting):
        known = "; ".join(f"{name}: {', '.join(of_stage)}" for name, of_stage in heads.items())
        raise CheckpointError(
            f"{path}: its heads are {', '.join(content['heads'])}, which are not those of "
            f"{'a stage' if config.stage is None else f'stage={config.stage}'} ({known}); give the "
            "experiment that the checkpoint was trained with"
        )
    return wanted[0]
