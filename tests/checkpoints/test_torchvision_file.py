"""Files of torchvision's detectors: names, the place of background, COCO's categories."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torchvision.models import detection

from bacl.assembly.build import build_stage
from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.detector_start import DetectorStart
from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.checkpoints.torchvision_file import is_torchvision, torchvision_detector
from bacl.losses import SoftmaxCrossEntropy

CONF = Path(__file__).parents[2] / "conf"
KINDS = {
    "fasterrcnn_resnet50_fpn": "torchvision_faster_rcnn_r50",
    "fasterrcnn_resnet50_fpn_v2": "torchvision_faster_rcnn_r50_v2",
    "fasterrcnn_mobilenet_v3_large_fpn": "torchvision_faster_rcnn_mobilenet_v3",
    "maskrcnn_resnet50_fpn": "torchvision_mask_rcnn_r50",
}
OLDER = (
    ("rpn.head.conv.0.0.", "rpn.head.conv."),
    *((f"_blocks.{n}.0.", f"_blocks.{n}.") for n in range(4)),
    *((f"mask_head.{n}.0.", f"mask_head.mask_fcn{n + 1}.") for n in range(4)),
)
"""How files of torchvision before 0.13 name layers, such as those that it serves for V1."""


def state(kind: str) -> dict[str, torch.Tensor]:
    """Tensors without numbers, as of its published weights."""
    with torch.device("meta"):
        model = getattr(detection, kind)(weights=None, weights_backbone=None)
    return {k: v for k, v in model.state_dict().items() if not k.endswith("_tracked")}


def file(tensors: dict[str, torch.Tensor]) -> PublishedFile:
    return PublishedFile(Path("theirs.pth"), tensors, None)


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_a_file_has_its_place_in_the_detector_of_its_name(kind):
    tensors = state(kind)
    assert is_torchvision(file(tensors))
    trained = torchvision_detector(file(tensors))
    assert trained.suggestion == f"detector={KINDS[kind]}"
    assert not trained.left_out
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = [f"detector={KINDS[kind]}", "data.num_classes=90", "pipeline=end_to_end"]
        config = compose("config", overrides=options)
    with torch.device("meta"):
        detector = build_stage(config, "end_to_end", pretrained=False).detector
    own = {k: v.shape for k, v in detector.state_dict().items() if not k.endswith("_tracked")}
    assert {key: value.shape for key, value in trained.detector.items()} == own


@pytest.mark.parametrize("kind", ["fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"])
def test_older_names(kind):
    tensors = state(kind)
    older = {}
    for key, value in tensors.items():
        for now, before in OLDER:
            key = key.replace(now, before)
        older[key] = value
    assert older.keys() != tensors.keys()
    first, second = torchvision_detector(file(tensors)), torchvision_detector(file(older))
    assert first.detector.keys() == second.detector.keys()
    assert not second.left_out


def test_background_comes_last_or_not_at_all():
    classes = torch.arange(4.0)  # background, and three
    tensors = {
        "backbone.body.conv1.weight": torch.zeros(1),
        "roi_heads.box_predictor.cls_score.weight": classes.unsqueeze(1),
        "roi_heads.box_predictor.cls_score.bias": classes,
        "roi_heads.box_predictor.bbox_pred.bias": classes.repeat_interleave(4),
        "roi_heads.mask_predictor.mask_fcn_logits.bias": classes,
        "roi_heads.keypoint_head.0.weight": torch.zeros(1),
    }
    trained = torchvision_detector(file(tensors))
    (head,) = trained.heads.values()
    assert head.loss is SoftmaxCrossEntropy
    assert head.levels["first"]["bias"].tolist() == [1, 2, 3, 0]
    assert head.levels["first"]["weight"].flatten().tolist() == [1, 2, 3, 0]
    assert trained.detector["box_regression.fc.bias"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert trained.detector["mask.head.predictor.bias"].tolist() == [1, 2, 3]
    assert list(trained.left_out) == ["roi_heads.keypoint_head.0.weight"]
    assert trained.names is None


@pytest.mark.parametrize("shape", [(), (3,), (1, 2), (0, 2)])
def test_what_has_no_classifier_is_no_detector(shape):
    weight = {"roi_heads.box_predictor.cls_score.weight": torch.zeros(shape)}
    assert not is_torchvision(file(weight | {"backbone.body.conv1.weight": torch.zeros(1)}))


def test_numbers_in_place_of_rows_do_not_matter():
    tensors = {
        "backbone.body.conv1.weight": torch.zeros(1),
        "roi_heads.box_predictor.cls_score.weight": torch.zeros(4, 2),
        "roi_heads.box_predictor.cls_score.bias": torch.tensor(0.0),
        "roi_heads.box_predictor.bbox_pred.bias": torch.tensor(0.0),
    }
    assert torchvision_detector(file(tensors)).detector["box_regression.fc.bias"].dim() == 0


def test_cocos_names_with_91_logits():
    trained = torchvision_detector(file(state("fasterrcnn_mobilenet_v3_large_fpn")))
    assert len(trained.names) == 90
    assert len(trained.known_names) == 80
    assert trained.names[0] == "person"  # COCO's id 1
    assert trained.names[89] == "toothbrush"
    assert trained.names[11] is None  # id 12 was left out
    assert list(CategoryMatch.of(["Hair_Drier", "N/A"], trained.names).rows) == [88, None]


def test_another_backbone_is_refused_with_the_detector_that_fits():
    shapes = state("fasterrcnn_mobilenet_v3_large_fpn").items()
    trained = torchvision_detector(file({k: torch.zeros(v.shape) for k, v in shapes}))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["data.num_classes=3", "pipeline=end_to_end"])
    detector = build_stage(config, "end_to_end", pretrained=False).detector
    match = CategoryMatch.of("abc", trained.names)
    with pytest.raises(
        ValueError,
        match=r"^detector.init_from=x.pth: a detector of torchvision, "
        r".*backbone.*; take detector=torchvision_faster_rcnn_mobilenet_v3$",
    ):
        DetectorStart.of(detector, trained, match).check(detector, trained, "x.pth")
