"""Every number of the paper's configurations, those that its published code adds included."""

from functools import cache

import pytest
from omegaconf import OmegaConf

from bacl.options.composed import flat

FASTER = {
    "feature_dim": 1024,
    "backbone.depth": 50,
    "backbone.frozen_stages": 1,
    "backbone.norm_eval": True,
    "backbone.weights": "ResNet50_Weights.IMAGENET1K_V1",
    "fpn.channels": 256,
    "rpn.channels": 256,
    "rpn.beta": 0,
    "init_from": None,
    "init_names": None,
    "each_alone": False,
    "rpn.anchors.scale": 8,
    "rpn.anchors.ratios": [0.5, 1, 2],
    "rpn.anchors.strides": [4, 8, 16, 32, 64],
    "rpn.coder.stds": [1, 1, 1, 1],
    "rpn.matcher.positive": 0.7,
    "rpn.matcher.negative": 0.3,
    "rpn.matcher.low_quality": 0.3,
    "rpn.sampler.count": 256,
    "rpn.sampler.positive_fraction": 0.5,
    "rpn.training.per_level": 2000,
    "rpn.training.total": 2000,
    "rpn.training.nms_iou": 0.7,
    "rpn.inference.per_level": 1000,
    "rpn.inference.total": 1000,
    "rpn.inference.nms_iou": 0.7,
    "pooling.side": 7,
    "pooling.strides": [4, 8, 16, 32],
    "pooling.finest_scale": 56,
    "box_head.layers": 2,
    "box_regression.coder.stds": [0.1, 0.1, 0.2, 0.2],
    "box_regression.beta": 0,
    "box_regression.class_agnostic": False,
    "sampler.matcher.positive": 0.5,
    "sampler.matcher.negative": 0.5,
    "sampler.matcher.low_quality": 0.5,
    "sampler.sampler.count": 512,
    "sampler.sampler.positive_fraction": 0.25,
    "postprocess.score_threshold": 1e-4,
    "postprocess.nms_iou": 0.5,
    "postprocess.max_detections": 300,
}
CASCADE = FASTER | {
    "rpn.beta": 1 / 9,
    "box_regression.beta": 1,
    "box_regression.class_agnostic": True,
    "sampler.matcher.low_quality": None,
    "later_levels.second.iou": 0.6,
    "later_levels.second.stds": [0.05, 0.05, 0.1, 0.1],
    "later_levels.second.loss_weight": 0.5,
    "later_levels.third.iou": 0.7,
    "later_levels.third.stds": [0.033, 0.033, 0.067, 0.067],
    "later_levels.third.loss_weight": 0.25,
}
MASK = FASTER | {
    "mask.head.predictor.temperature": 20,
    "mask.head.layers": 4,
    "mask.head.channels": 256,
    "mask.pooling.side": 14,
    "mask.pooling.strides": [4, 8, 16, 32],
    "mask.pooling.finest_scale": 56,
    "mask.threshold": 0.5,
}
DETECTORS = {
    "bacl_lvis05": FASTER,
    "bacl_cascade_lvis1": CASCADE,
    "bacl_mask_lvis1": MASK,
    "bacl_coco_lt": FASTER | {"postprocess.max_detections": 100},
    "baseline_lvis05": FASTER | {"rpn.training.total": 1000},
}
ONCE = {
    "optimizer.momentum": 0.9,
    "epochs": 12,
    "learning_rate": 0.02,
    "reference_batch": 16,
    "weight_decay": 1e-4,
    "milestones": [8, 11],
    "gamma": 0.1,
    "warmup_steps": 500,
    "warmup_factor": 0.001,
}
TEST = {"short_sides": [800], "max_size": 1333}
COPY_PASTE = {
    "canvas": 1280,
    "scale": [0.8, 1.25],
    "flip_probability": 0.5,
    "max_pasted": 99,
    "box_tolerance": 10,
    "area_threshold": 300,
    "source_power": None,
    "bank": None,
}


@pytest.fixture(scope="module")
def experiment(compose_config):
    """Composes each experiment once."""
    return cache(lambda name: compose_config(f"+experiment={name}"))


def numbers(node) -> dict[str, object]:
    """Options by dotted name, without what is built and what other options say.

    What the data choose for own data alone (`${oc.select:fitted.…}`) has its value here.
    """
    leaves = {
        name: OmegaConf.select(node, name) if str(value).startswith("${oc.select:") else value
        for name, value in flat(OmegaConf.to_container(node)).items()
    }
    return {
        name: value
        for name, value in leaves.items()
        if not name.endswith(("_target_", "_partial_")) and not str(value).startswith("${")
    }


@pytest.mark.parametrize("name", DETECTORS)
def test_the_papers_detectors(name, experiment):
    assert numbers(experiment(name).detector) == DETECTORS[name]


def test_the_papers_schedules_and_augmentation(experiment):
    stages = experiment("bacl_lvis05").stages
    (baseline,) = experiment("baseline_lvis05").stages.values()
    assert numbers(stages.representation.schedule) == ONCE | {"weight_decay": 5e-5}
    assert numbers(stages.classifier.schedule) == ONCE
    assert numbers(baseline.schedule) == ONCE | {"epochs": 24, "milestones": [16, 22]}
    assert all(s.schedule.optimizer._target_ == "torch.optim.SGD" for s in stages.values())
    assert numbers(stages.representation.augment.train) == COPY_PASTE
    assert numbers(stages.representation.augment.test) == TEST
    for stage in (stages.classifier, baseline):
        resize, flip = stage.augment.train.transforms
        assert numbers(resize) == {"short_sides": [*range(640, 801, 32)], "max_size": 1333}
        assert numbers(flip) == {"p": 0.5}
        assert numbers(stage.augment.test) == TEST
