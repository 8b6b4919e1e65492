"""Checkpoints of version 0.1, before a head had a classifier for each level of the detector."""

from collections.abc import Mapping
from typing import Any

from bacl.detectors.any_detector import FIRST

PARTS = ("predictor.", "criterion.", "hallucination.")
"""What the names of a single classifier's state began with."""
RENAMED = {
    "bacl.heads.ClassifierHead": "bacl.heads.Classifier",
    "bacl.hallucination.FeatureHallucination": "bacl.heads.hallucination.FeatureHallucination",
    "bacl.hallucination.no_hallucination": "bacl.heads.hallucination.no_hallucination",
    "bacl.predictors.NormalisedLinear": "bacl.heads.predictors.NormalisedLinear",
    "bacl.box_generator.BoxGenerator": "bacl.heads.BoxGenerator",
    "bacl.detectors.cascade_rcnn.CascadeStage": "bacl.detectors.cascade_rcnn.CascadeLevel",
    "bacl.data.transforms.Augmentation": "bacl.data.augmentation.transforms.Augmentation",
    "bacl.data.transforms.ResizeShortSide": "bacl.data.augmentation.transforms.ResizeShortSide",
    "bacl.data.copy_paste.CopyPaste": "bacl.data.augmentation.copy_paste.CopyPaste",
}
LATER_REPORT = {"html": True, "errors": True, "label_errors": 24}
"""Options of `report` that came later, as they are by default."""
LATER = {"later_stages": "later_levels"}


def brought_up_to_date(content: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds, by today's names; one of today stays as it is."""
    heads = {name: _with_level(state) for name, state in content["heads"].items()}
    config = _renamed(content["config"])
    sampler = config.get("datamodule", {}).get("sampler")
    stages = {
        name: _with_init(_with_box_generator(stage), sampler)
        for name, stage in config["stages"].items()
    }
    report = {"report": LATER_REPORT | config["report"]} if "report" in config else {}
    return content | {"heads": heads, "config": config | {"stages": stages} | report}


def _with_level(state: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{FIRST}.{k}" if k.startswith(PARTS) else k: v for k, v in state.items()}


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(value) for value in node]
    if isinstance(node, str):
        return RENAMED.get(node, node)
    if not isinstance(node, dict):
        return node
    return {LATER.get(key, key): _renamed(value) for key, value in node.items()}


def _with_init(stage: dict[str, Any], sampler: Any) -> dict[str, Any]:
    """A stage that says what it starts from, and how its images are drawn."""
    if "init_from" not in stage:
        return stage
    rest = {key: value for key, value in stage.items() if key != "init_from"}
    how = "fresh" if stage["init_from"] is None else "inherit"
    init = {"detector": stage["init_from"], "classifier": how}
    return rest | {"init": init, "sampler": sampler}


def _with_box_generator(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage whose heads ask for the jittered boxes that the stage had made."""
    module = stage.get("module")
    if not isinstance(module, dict) or "box_generator" not in module:
        return stage
    generator = module["box_generator"]
    heads = {name: _asking(head, generator) for name, head in stage["heads"].items()}
    rest = {key: value for key, value in module.items() if key != "box_generator"}
    return stage | {"module": rest, "heads": heads}


def _asking(head: Any, generator: Any) -> Any:
    if not isinstance(head, dict) or not isinstance(head.get("hallucination"), dict):
        return head
    hallucination = head["hallucination"]
    if hallucination.get("_target_") != RENAMED["bacl.hallucination.FeatureHallucination"]:
        return head
    return head | {"hallucination": {"box_generator": generator, **hallucination}}
