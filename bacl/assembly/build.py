"""From a composed configuration to stages: detectors, heads and what trains them."""

from collections.abc import Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from bacl.assembly.instantiate import instantiate
from bacl.detectors.any_detector import Detector
from bacl.detectors.programs import Programs
from bacl.detectors.region_detector import that_sees_pictures
from bacl.heads import Classifier, Head
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.stages import DetectionStage, WarmUpSchedule

SEEDS_APART = 1_000_003
"""Between the seeds of a head's classifiers, in a detector of several levels."""


def build_stage(config: DictConfig, name: str, pretrained: bool) -> DetectionStage:
    """One stage with a detector and heads of its own, freshly initialised from the seed.

    `pretrained=False` leaves out the backbone's weights, for a stage that a checkpoint fills; so
    does a trained detector that is to come in their place (`detector.init_from`).
    """
    detector, heads = build_parts(config, name, pretrained)
    for option in ("masks", "metric.masks"):
        if OmegaConf.select(config, option) and detector.mask is None:
            raise OptionError(
                f"{option}=true: the detector has no mask branch; choose detector=mask_…"
            )
    if config.get("compile") is not None:
        sees = that_sees_pictures(detector, "compile")
        programs = instantiate(config.compile, Programs)
        programs.require_canvases(sees)
        sees.extract = programs
    node = config.stages[name]
    return instantiate(
        node.module,
        DetectionStage,
        detector=detector,
        heads=heads,
        schedule=instantiate(node.schedule, WarmUpSchedule),
        metric=instantiate(config.metric),
        seed=config.seed,
    )


def build_parts(
    config: DictConfig, name: str, pretrained: bool
) -> tuple[Detector, dict[str, Head]]:
    """The detector and the heads of a stage before the stage freezes anything.

    Raises:
        OptionError: a part refuses its options; that of a head begins with the head's path.
    """
    detector_node = config.detector.copy()
    anew = not pretrained or detector_node.get("init_from") is not None
    if anew and "backbone" in detector_node:
        detector_node.backbone.weights = None
    torch.manual_seed(config.seed)
    detector = instantiate(detector_node, Detector)
    calibration = plain(config).get("calibration")
    heads = {}
    for head, node in config.stages[name].heads.items():
        options = with_calibration(plain(node), calibration)
        try:
            heads[head] = build_head(options, detector.level_weights)
        except OptionError as error:
            raise OptionError(f"stages.{name}.heads.{head}: {error}") from error
    return detector, heads


def with_calibration(head: dict[str, Any], calibration: Any) -> dict[str, Any]:
    """A head's options, with the calibration of all heads where it has none of its own."""
    return head | {"calibration": head.get("calibration") or calibration}


def build_head(options: dict[str, Any], level_weights: Mapping[str, float]) -> Head:
    """A head of equal classifiers, one for each level of a detector."""
    levels = enumerate(level_weights)
    return Head({name: build_classifier(options, n) for n, name in levels}, level_weights)


def build_classifier(options: dict[str, Any], number: int) -> Classifier:
    """The classifier of a detector's level `number`; no two levels draw alike."""
    return instantiate(_with_own_seeds(options, number), Classifier)


def _with_own_seeds(node: Any, number: int) -> Any:
    if isinstance(node, list):
        return [_with_own_seeds(value, number) for value in node]
    if not isinstance(node, dict):
        return node
    own = {key: _with_own_seeds(value, number) for key, value in node.items()}
    return own | {"seed": own["seed"] + number * SEEDS_APART} if "seed" in own else own


def chosen_stages(config: DictConfig) -> list[str]:
    """Names of the stages to run: all of the pipeline, or the one that `stage` names."""
    return [config.stage] if config.stage is not None else list(config.stages)


def only_head(stage: DetectionStage, name: str) -> str:
    """Name of a stage's head, for what takes one.

    Raises:
        OptionError: the stage has several.
    """
    if len(stage.heads) != 1:
        heads = ", ".join(stage.heads)
        raise OptionError(
            f"stages.{name}.heads: {heads}, where one is needed; choose another stage=…, or leave "
            f"one out, as in '~head@stages.{name}.heads.NAME'"
        )
    return next(iter(stage.heads))
