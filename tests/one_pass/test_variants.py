"""What may differ between evaluations that one pass serves."""

import pytest
from omegaconf import OmegaConf

from bacl.messages.errors import UserError
from bacl.one_pass.variants import (
    VARIANTS,
    PlannedTest,
    can_vary,
    read_variants,
    unvaried,
    write_variants,
)

OVERRIDES = [
    "job=test",
    "checkpoint=x.ckpt",
    "detector.postprocess.nms_iou=0.3",
    "detector.postprocess.max_detections=100",
]


def planned(tiny, *overrides: str) -> PlannedTest:
    return PlannedTest.of(tiny(*overrides), overrides)


def test_what_is_varied_is_of_after_the_training(tiny):
    given = [*OVERRIDES, "head.loss.alpha=0.5"]
    assert unvaried(given) == [*OVERRIDES[:2], given[-1]]
    test = planned(tiny, *given)
    assert list(test.nodes) == ["detector.postprocess"]
    assert test.nodes["detector.postprocess"]["nms_iou"] == 0.3
    assert test.nodes["detector.postprocess"]["max_detections"] == 100


def test_a_model_with_what_is_varied(tiny):
    model = tiny()
    described = planned(tiny, *OVERRIDES).described(model)
    assert described.detector.postprocess.nms_iou == 0.3
    assert model.detector.postprocess.nms_iou == 0.5
    assert described.stages == model.stages


def test_a_calibration_for_all_heads_stands_for_those_of_their_own(tiny):
    model = tiny()
    own = OmegaConf.to_container(tiny("calibration=norcal").calibration)
    model.stages.classifier.heads.bacl = {**model.head, "calibration": own}
    described = planned(tiny, "calibration=none").described(model)
    assert "calibration" not in described.stages.classifier.heads.bacl
    assert described.calibration._target_.endswith("Uncalibrated")
    kept = planned(tiny, *OVERRIDES).described(model)
    assert "calibration" in kept.stages.classifier.heads.bacl


def test_only_tests_of_a_checkpoint_that_a_file_may_describe_go_together(tiny):
    assert can_vary(tiny(*OVERRIDES), OVERRIDES)
    for missing in ("job=test", "checkpoint=x.ckpt"):
        own = [text for text in OVERRIDES if text != missing]
        assert not can_vary(tiny(*own), own)
    foreign = [*OVERRIDES, "detector.postprocess._target_=collections.OrderedDict"]
    assert not can_vary(tiny(*foreign), foreign)


def test_plans_come_back(tiny, tmp_path):
    tests = [planned(tiny, *OVERRIDES), planned(tiny, *OVERRIDES[:2])]
    write_variants(tmp_path, tests)
    assert read_variants(tmp_path) == tests


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"overrides": [], "nodes": {"trainer": {}}}, "trainer cannot be varied"),
        ({"overrides": [], "nodes": {"detector.postprocess": {"_target_": "os.system"}}}, "os.sys"),
        ({"overrides": [5], "nodes": {}}, "are texts"),
        ({"nodes": {}}, "is damaged"),
        ([], "is damaged"),
    ],
)
def test_a_plan_asks_for_nothing_else(tmp_path, entry, message):
    OmegaConf.save({"variants": [entry]}, tmp_path / VARIANTS)
    with pytest.raises(UserError, match=message):
        read_variants(tmp_path)


def test_without_a_plan_the_launcher_is_named(tmp_path):
    with pytest.raises(UserError, match="hydra/launcher=one_pass"):
        read_variants(tmp_path)
