"""A trained model from its final.ckpt alone: the file holds its configuration and categories."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from bacl.assembly.build import chosen_stages
from bacl.assembly.harmless import COUNTS
from bacl.assembly.rebuilt import Restored, rebuilt, telling_misfits
from bacl.assembly.stored import CALIBRATION, calibrate_alike, taken
from bacl.assembly.trial import without_data
from bacl.assembly.typed import key_of, referring, refuse_gathering, require_used
from bacl.checkpoints.handover import CheckpointError, State, load_stage, saved_categories
from bacl.checkpoints.taken_over import without_gathered
from bacl.files.plain_values import MISSING, select
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.options.comparison import wrong_options
from bacl.options.composed import plain
from bacl.options.marked import options_with, paths_of_model
from bacl.options.marks import DESCRIBES_ALL
from bacl.stages import DetectionStage
from bacl.stages.gathering import waiting
from bacl.stages.modules import Modules


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
        OptionError: `data.num_classes` asks for another number than the checkpoint has, or a
            calibration has yet to observe training images.
    """
    path, content, named = described_model(config, folder, overrides)
    categories = saved_categories(content)
    labels = [str(label) for label in range(len(categories.ids))]
    described = OmegaConf.create(without_data(plain(named), labels))
    restored = rebuilt(path, content, categories, described)
    if waiting(restored.stage.live_heads, restored.stage.variants):
        refuse_gathering(overrides, content.get("config", {}), path)
    return restored


def described_model(
    config: DictConfig, folder: Path, overrides: Sequence[str] = ()
) -> tuple[Path, State, DictConfig]:
    """A checkpoint's path and content, and the configuration of its model (`restore_model`).

    Raises:
        UserError: an option that nothing takes, or a value that cannot be meant.
    """
    path = Path(config.checkpoint or folder / chosen_stages(config)[-1] / "final.ckpt")
    content = load_stage(path)
    with telling_misfits(path):
        described = _described(config, content, overrides, path)
        wrong = wrong_options(described)
    if any(key_of(text).split(".")[0] == CALIBRATION for text in overrides):
        content = without_gathered(content)  # of another calibration, or with other options
    if wrong:
        raise CheckpointError(f"{path}: {'; '.join(wrong)}")
    return path, content, described


def command_overrides() -> list[str]:
    """Overrides of the running command; none where nothing runs under Hydra."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def keep_head(stage: DetectionStage, head: str) -> None:
    """Leave a stage with one of its heads."""
    stage.heads = Modules[Head]({head: stage.heads[head]})


def _described(
    config: DictConfig, content: State, overrides: Sequence[str], path: Path
) -> DictConfig:
    """The configuration of the model, resolved."""
    names = saved_categories(content).names
    if config.data.num_classes not in (None, len(names)):
        raise OptionError(
            f"data.num_classes={config.data.num_classes}, but {path} was trained on {len(names)} "
            "categories; leave it null"
        )
    composed = config.copy()
    with open_dict(composed):
        composed.data.num_classes = len(names)
    described: DictConfig = OmegaConf.create(plain(composed, resolve=False))
    keys = [key_of(text) for text in overrides]
    if content.get("config") and not set(options_with(DESCRIBES_ALL)) & set(keys):
        counts = {"_target_": f"{COUNTS}.load", "annotations": composed.data.train.annotations}
        _take_stored(described, taken(content["config"], path, keys, counts, len(names)))
        _take_said(described, composed, overrides)
        if config.checkpoint:
            require_used(overrides, described, path)
    return OmegaConf.create(plain(described))


def _take_stored(described: DictConfig, stored: Mapping[str, Any]) -> None:
    """Describe the model as the checkpoint does."""
    del described.head  # of which stages make heads; the file has those that were made
    for node, value in stored.items():
        OmegaConf.update(described, node, value, merge=False, force_add=True)


def _take_said(described: DictConfig, composed: DictConfig, overrides: Sequence[str]) -> None:
    """Change a description by what the command says of the model, and by what refers to that."""
    keys = [key_of(text) for text in overrides]
    of_model = {path.split(".")[0] for path in paths_of_model()}
    for key, text in zip(keys, overrides, strict=True):
        if key.split(".")[0] in of_model:
            _take(described, key, composed, removed=text.startswith("~"))
        if key.split(".")[0] == CALIBRATION:
            calibrate_alike(described)
    there = plain(described, resolve=False)
    for key in referring(plain(composed, resolve=False), keys):
        if select(there, key) is not MISSING:
            _take(described, key, composed, removed=False)


def _take(described: DictConfig, key: str, composed: DictConfig, removed: bool) -> None:
    """Set one node as the command composed it, or remove it."""
    if removed:
        parent = OmegaConf.select(described, key.rpartition(".")[0])
        if parent is not None:
            parent.pop(key.rpartition(".")[2], None)
        return
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    value = plain(node, resolve=False)[name]  # what it stands for is described
    OmegaConf.update(described, key, value, merge=False, force_add=True)
