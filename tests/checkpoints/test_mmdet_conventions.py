"""What MMDetection cannot compute with tensors that it would take."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.mmdet_conventions import require_mmdet_conventions
from bacl.options.composed import plain

CONF = Path(__file__).parents[2] / "conf"
DETECTORS = sorted(path.stem for path in (CONF / "detector").glob("*.yaml"))


def options(*overrides: str) -> dict:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return plain(compose("config", overrides=["data.num_classes=3", *overrides]))["detector"]


@pytest.mark.parametrize("detector", DETECTORS)
def test_only_torchvisions_detectors_compute_what_mmdetection_cannot(detector):
    own = options(f"detector={detector}")
    if detector.startswith("torchvision_"):
        with pytest.raises(CheckpointError, match=r"rpn\.anchors\._target_=\S+FittedAnchors .*min"):
            require_mmdet_conventions("x", own, "mind this")
    else:
        require_mmdet_conventions("x", own, "mind this")


def test_what_it_can_be_configured_to_is_no_reason():
    require_mmdet_conventions(
        "x",
        options(
            "detector.rpn.anchors.scale=4", "detector.rpn.anchors.ratios=[1]",
            "detector.rpn.coder.stds=[1,1,2,2]", "+detector.pooling.sampling_ratio=2",
            "+detector.pooling.aligned=false", "+detector.rpn.coder.limits_shrinking=true",
        ),
        "mind this",
    )  # fmt: skip


@pytest.mark.parametrize("part", ["rpn", "box_regression"])
def test_deltas_that_shrink_without_limit_are(part):
    own = options(f"+detector.{part}.coder.limits_shrinking=false")
    told = rf"^x: .*no detector\.{part}\.coder\.limits_shrinking=false \(.* true\); mind this$"
    with pytest.raises(CheckpointError, match=told):
        require_mmdet_conventions("x", own, "mind this")
