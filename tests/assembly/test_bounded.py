"""Models pass the bound that keeps files from describing what they do not hold."""

from functools import partial
from pathlib import Path

import pytest
import torch

from bacl.assembly.bounded import require_fitting
from bacl.assembly.build import build_stage
from bacl.checkpoints.handover import CheckpointError
from tests.conf.test_detectors import DETECTORS, composed

VIT = "detector=faster_rcnn_vit"
DEEP = f"{VIT} detector.backbone.name=vit_giant_patch14_reg4_dinov2".split()  # 40 blocks
MODELS = {name: [f"detector={name}"] for name in DETECTORS if name != "dumped"} | {
    "lora": [VIT, "adaptation@detector.backbone.adaptation=lora"],
    "swin": ["detector=faster_rcnn_timm", "detector.backbone.name=swin_large_patch4_window7_224"],
}


LARGE = ("dinov3", "eva02", "siglip2", "r101", "lora")
"""In names of what is built by the slow tests: like the others, in more seconds."""


def marks(name):
    return [pytest.mark.slow] if any(part in name for part in LARGE) else []


def building(*overrides):
    return partial(build_stage, composed(*overrides), "classifier", pretrained=False)


def content_of(build):
    with torch.device("meta"):
        stage = build()
    heads = {name: head.state_dict() for name, head in stage.heads.items()}
    return {"detector": stage.detector.state_dict(), "heads": heads}


@pytest.mark.parametrize(
    "overrides",
    [
        *(pytest.param(each, id=name, marks=marks(name)) for name, each in MODELS.items()),
        pytest.param(DEEP, id="deep", marks=pytest.mark.slow),
    ],
)
def test_every_model_passes_its_own_bound(overrides):
    build = building(*overrides)
    require_fitting(build, content_of(build), Path("own.ckpt"))


@pytest.mark.parametrize("depth", [200, pytest.param(10**6, marks=pytest.mark.slow)])
def test_a_transformer_far_deeper_than_its_file_is_not_built(depth):
    content = content_of(building(VIT))
    deep = building(VIT, f"+detector.backbone.options.depth={depth}")
    with pytest.raises(CheckpointError, match=r"^bad\.ckpt: its configuration describes a model"):
        require_fitting(deep, content, Path("bad.ckpt"))
