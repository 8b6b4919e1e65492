"""What a calibration has gathered is kept: a checkpoint beside the results of its evaluation."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.assembly.rebuilt import Restored
from bacl.checkpoints.handover import save_stage
from bacl.files.kinds import CALIBRATED
from bacl.options.composed import plain
from bacl.stages.detection import Variant


@rank_zero_only
def keep_gathered(
    folder: Path, restored: Restored, variants: Mapping[str, Variant], config: DictConfig
) -> None:
    """Write a finished stage with the calibrations that it was evaluated with.

    Args:
        folder: of the results.
        restored: the stage; its heads get the calibrations.
        variants: one for each head; their calibrations have observed what they gather.
        config: of the model with these calibrations.
    """
    stage, path = restored.stage, folder / CALIBRATED
    heads = {each.head: stage.live_heads[each.head] for each in variants.values()}
    for each in variants.values():
        for classifier in heads[each.head].classifiers:
            classifier.calibration = each.calibration or classifier.calibration
    training = next(filter(None, restored.statistics), None)
    categories = replace(restored.categories, training=training)
    save_stage(path, stage.detector, heads, categories, plain(config))
    print(f"The model with all that its calibration has gathered: checkpoint={path}")
