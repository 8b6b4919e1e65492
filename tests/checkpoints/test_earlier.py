"""Checkpoints of version 0.1 are read by today's names."""

import torch

from bacl.checkpoints.earlier import brought_up_to_date

HALLUCINATION = "bacl.hallucination.FeatureHallucination"
EARLIER = {
    "detector": {},
    "heads": {
        "bacl": {"predictor.weight": torch.ones(1), "criterion.indicator.counts": torch.ones(2)},
        "deep": {"second.predictor.weight": torch.ones(1)},
    },
    "config": {
        "detector": {
            "later_stages": {"second": {"_target_": "bacl.detectors.cascade_rcnn.CascadeStage"}}
        },
        "stages": {
            "classifier": {
                "module": {"trainable": ["*"], "box_generator": {"shared": True}},
                "init_from": "representation",
                "heads": {
                    "bacl": {
                        "_target_": "bacl.heads.ClassifierHead",
                        "hallucination": {"_target_": HALLUCINATION, "beta": 0.9},
                    },
                    "baseline": {
                        "_target_": "bacl.heads.ClassifierHead",
                        "hallucination": {"_target_": "bacl.hallucination.no_hallucination"},
                    },
                },
            },
            "representation": {"module": {"trainable": ["*"]}, "heads": {}, "init_from": None},
        },
        "datamodule": {"sampler": {"_partial_": True}},
    },
}


def test_names_of_version_0_1():
    content = brought_up_to_date(EARLIER)
    assert list(content["heads"]["bacl"]) == [
        "first.predictor.weight",
        "first.criterion.indicator.counts",
    ]
    assert list(content["heads"]["deep"]) == ["second.predictor.weight"]
    (level,) = content["config"]["detector"]["later_levels"].values()
    assert level["_target_"].endswith("CascadeLevel")
    stage = content["config"]["stages"]["classifier"]
    assert stage["module"] == {"trainable": ["*"]}
    hallucination = stage["heads"]["bacl"]["hallucination"]
    assert hallucination == {
        "_target_": "bacl.heads.hallucination.FeatureHallucination",
        "beta": 0.9,
        "box_generator": {"shared": True},
    }
    assert "box_generator" not in stage["heads"]["baseline"]["hallucination"]
    assert stage["heads"]["baseline"]["_target_"] == "bacl.heads.Classifier"
    assert stage["init"] == {"detector": "representation", "classifier": "inherit"}
    first = content["config"]["stages"]["representation"]
    assert first["init"] == {"detector": None, "classifier": "fresh"}
    assert stage["sampler"] == first["sampler"] == {"_partial_": True}
    assert "init_from" not in stage


def test_what_is_of_today_stays():
    content = brought_up_to_date(EARLIER)
    assert brought_up_to_date(content) == content
