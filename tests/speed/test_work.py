import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.detectors.folding import FoldedNorms
from bacl.detectors.levels import uncut_level
from bacl.heads import Classifier, FeatureHallucination, Head
from bacl.heads.predictors import NormalisedLinear
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, SoftmaxCrossEntropy
from bacl.speed.work import MultiplyAdds, Parameters, count_multiply_adds, count_parameters

CONF = Path(__file__).resolve().parents[2] / "conf"
D = 1024


def detector(name: str, classes: int, *overrides: str) -> FasterRCNN:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        added = [f"+detector={name}", f"+data.num_classes={classes}"]
        config = compose(overrides=[*added, "detector.backbone.weights=null", *overrides])
    return instantiate(config.detector)


@pytest.fixture(scope="module")
def built() -> Callable[[int, int], FasterRCNN]:
    """The paper's detectors by depth and classes, each built once and without memory."""
    made: dict[tuple[int, int], FasterRCNN] = {}

    def get(depth: int, classes: int) -> FasterRCNN:
        if (depth, classes) not in made:
            with torch.device("meta"):
                made[depth, classes] = detector(f"faster_rcnn_r{depth}", classes)
        return made[depth, classes]

    return get


def head(classes: int, width: int = D) -> Head:
    """BACL's, with everything that it needs in training."""
    loss = FCBL(classes, 0.001, ConfusionMatrix(classes), alpha=0.85, threshold=0.7)
    hallucination = FeatureHallucination(classes, width, 8, 12, 0.9, seed=0)
    return Head({"first": Classifier(width, loss, hallucination)}, {"first": 1.0})


@pytest.mark.parametrize(
    ("depth", "classes", "billions", "millions"),
    [(50, 1230, "221.71", "47.42"), (101, 1230, "301.58", "66.41")],
)
def test_table_xi(built, depth, classes, billions, millions):
    work = count_multiply_adds(built(depth, classes), head(classes), (800, 1333), 1000)
    assert f"{work.published / 1e9:.2f}" == billions
    parameters = count_parameters(built(depth, classes), head(classes))
    assert f"{parameters.learnable / 1e6:.2f}" == millions


@pytest.mark.slow
def test_every_recorded_count_of_multiply_adds(built, shared):
    records = json.loads((shared / "published" / "a_flops.json").read_text())
    compared = 0
    for name, record in records.items():
        if name.startswith("mask"):
            continue
        depth = 101 if name.startswith("r101") else 50
        classes = 1203 if "_v1_" in name else 1230
        size = tuple(record["shape"][1:])
        work = count_multiply_adds(built(depth, classes), head(classes), size, 1000)
        assert work.published == record["macs"], name
        parameters = count_parameters(built(depth, classes), head(classes))
        assert parameters.learnable == record["params"], name
        compared += 1
    assert compared == 14


def test_the_mask_branch_is_counted_for_a_hundred_masks(shared):
    records = json.loads((shared / "published" / "a_flops.json").read_text())
    record = records["mask_r50_baseline_v1_3x1280x800"]
    with torch.device("meta"):
        masks = detector("mask_rcnn_r50", 1203)
    work = count_multiply_adds(masks, head(1203), (1280, 800), 1000)
    assert work.published == record["macs"]
    assert f"{work.published / 1e9:.2f}" == "264.28"
    assert count_parameters(masks, head(1203)).learnable == record["params"]


def test_predictors_of_masks_are_counted_as_published_code_has_them():
    """By hand: products and a bias for every class and pixel; a normalised layer is free."""

    def work(predictor: str, classes: int) -> MultiplyAdds:
        chosen = f"mask_predictor@detector.mask.head.predictor={predictor}"
        with torch.device("meta"):
            model = detector("mask_small", classes, chosen)
        width = model.feature_dim
        classified = 10 * (width * (classes + 1) + 4 * width * classes)
        own = model.mask.head.predictor.weight[0].numel()
        assert (own, model.mask.pooling.side) == (64, 14)
        found = count_multiply_adds(model, head(classes, width), (64, 96), 10)
        published, rois = found.published - classified, found.rois - classified
        return MultiplyAdds(published, found.extractor, rois)

    normalised, plain = work("normalised", 5), work("plain", 5)
    pixels = 100 * 28 * 28
    assert plain.published - normalised.published == pixels * 5 * (64 + 1)
    assert work("plain", 6).published - plain.published == pixels * (64 + 1)
    assert plain.products == normalised.products == work("plain", 6).products  # the wanted class


def test_a_normalised_classifier_is_not_seen_by_the_published_counter():
    loss = SoftmaxCrossEntropy(6)
    cosine = Classifier(5, loss, predictor=partial(NormalisedLinear, temperature=20.0))
    model = Tiny(nn.ReLU(), nn.Identity())
    work = count_multiply_adds(model, Head({"first": cosine}, {"first": 1.0}), (6, 8), 10)
    assert work == MultiplyAdds(3 * 48, 0, 10 * 5 * 7)
    assert isinstance(cosine.predictor, NormalisedLinear)  # the head stays as it is


def test_every_recorded_count_of_parameters(built, shared):
    records = json.loads((shared / "published" / "a_param_counts.json").read_text())
    compared = 0
    for name, record in records.items():
        if name.startswith("faster"):
            classes = record["num_classes"]
            found = count_parameters(built(record["depth"], classes), head(classes))
            total = record["params_total_without_fhm_feature_params"]
            assert found == Parameters(total, record["params_requires_grad_as_built"]), name
            compared += 1
    assert compared == 12


class Tiny(nn.Module):
    """Stands for a detector: `pyramid` and `run_layers` around given layers."""

    def __init__(self, extractor: nn.Module, rois: nn.Module) -> None:
        super().__init__()
        self.extractor, self.rois = extractor, rois

    def pyramid(self, images):
        return (self.extractor(images),)

    def run_layers(self, pyramid, num_rois):
        return [uncut_level(pyramid[0].new_empty(num_rois, 5), self.rois, nn.Identity())]


@pytest.mark.parametrize(
    ("layer", "products", "published"),
    [
        # 3 -> 4 channels, 3×3, output 6×8: 48 positions, 108 products and one bias for each of 4
        (nn.Conv2d(3, 4, 3, padding=1), 48 * 108, 48 * 108 + 48 * 4),
        (nn.Conv2d(3, 4, 3, padding=1, bias=False), 48 * 108, 48 * 108),
        # output 3×4 by the stride; a third of the products by the groups
        (nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3, bias=False), 12 * 54, 12 * 54),
        # transposed: every input position writes 2×2×4 values from 3 channels
        (nn.ConvTranspose2d(3, 4, 2, stride=2), 48 * 48, 48 * 48 + 4 * 48 * 4),
        (nn.BatchNorm2d(3), 0, 2 * 3 * 48),
        (nn.ReLU(), 0, 3 * 48),
        (nn.ReLU6(), 0, 3 * 48),
        (nn.MaxPool2d(2), 0, 3 * 48),
        (nn.Upsample(scale_factor=2), 0, 0),
    ],
)
def test_layers_counted_by_hand(layer, products, published):
    work = count_multiply_adds(Tiny(layer, nn.Identity()), head(6, width=5), (6, 8), 10)
    linear = 10 * 5 * 7  # without biases
    assert work == MultiplyAdds(published + linear, products, linear)
    assert work.products == products + linear


def test_a_batch_norm_costs_the_same_folded_or_not():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)

        def forward(self, x):
            return FoldedNorms([(self.conv, self.norm)])(x, self.conv, self.norm)

    for mode in (True, False):
        work = count_multiply_adds(
            Tiny(Folded().train(mode), nn.Identity()), head(6, width=5), (6, 8), 1
        )
        assert work == MultiplyAdds(48 * 12 + 2 * 48 * 4 + 35, 48 * 12, 35)


def test_counting_changes_nothing_and_grows_with_rois():
    model = detector("small", 7).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    classifier = head(7, model.feature_dim)
    few, many = (count_multiply_adds(model, classifier, (64, 96), rois) for rois in (10, 20))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    fcs = [*model.box_head.shared_fcs, model.box_regression.fc, classifier.classifiers[0].predictor]
    assert many.rois - few.rois == 10 * sum(layer.weight.numel() for layer in fcs)
    assert many.extractor == few.extractor


def test_the_counted_layers_are_those_of_an_inference():
    """The products of `run_layers` are those that real proposals of the same number cause."""
    model = detector("small", 7).eval()
    classifier = head(7, model.feature_dim)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pyramid = model.pyramid(torch.randn(1, 3, 64, 96))
        (regions,) = model.inference_regions(pyramid, [(64, 96)])
        classifier.scores(regions.levels)
    proposals = len(regions.proposals)
    assert proposals > 10
    counted = count_multiply_adds(model, classifier, (64, 96), proposals)
    assert counted.products == counter.get_total_flops() // 2


def test_shared_and_frozen_parameters():
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)
    second.weight = first.weight
    second.bias.requires_grad_(False)
    assert count_parameters(first, second) == Parameters(6 + 3 + 3, 6 + 3)
