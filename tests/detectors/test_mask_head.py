"""The mask head gives what was recorded from the published one, and what its formula says."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bacl.detectors.mask_head import MaskHead, NormalisedMaskPredictor, PlainMaskPredictor

CLASSES = 6
cosine = partial(NormalisedMaskPredictor, temperature=20)


def head(predictor=cosine, layers=4, channels=256):
    return MaskHead(channels, CLASSES, layers, channels, predictor)


@pytest.fixture(scope="module")
def published(recipe):
    """The head with the weights of the recorded numbers."""
    ours = head()
    state = {}
    for name, value in ours.state_dict().items():
        published = name.replace("predictor", "conv_logits")
        if published.startswith("convs"):
            number, part = published.split(".")[1:]
            published = f"convs.{number}.conv.{part}"
        weight = recipe.weight(f"roi_head.mask_head.{published}", tuple(value.shape))
        state[name] = torch.from_numpy(weight)
    ours.load_state_dict(state)
    return ours


@pytest.fixture(scope="module")
def features(recipe):
    draw = recipe.random_state("mask_head_input").standard_normal((3, 256, 14, 14))
    return torch.from_numpy((0.5 * draw).astype(np.float32))


def test_recorded_masks_of_every_class(published, features, recorded):
    expected = torch.from_numpy(recorded("e_mask_head")["mask_pred"])
    with torch.no_grad():
        for label in range(CLASSES):
            logits = published(features, torch.full((3,), label))
            torch.testing.assert_close(logits, expected[:, label], rtol=0, atol=1e-5)


def test_recorded_loss(published, features, recorded):
    numbers = recorded("e_mask_head")
    logits = published(features, torch.from_numpy(numbers["labels"]))
    truth = torch.from_numpy(numbers["mask_targets"])
    loss = F.binary_cross_entropy_with_logits(logits, truth)
    assert loss.item() == pytest.approx(float(numbers["loss_mask"]), abs=1e-5)


def test_recorded_logits_of_the_normalised_predictor(recorded_masks):
    """Part of the recorded numbers that lies in the repository."""
    layer = NormalisedMaskPredictor(256, CLASSES, 20)
    for name in ("weight", "bias"):
        getattr(layer, name).data = torch.from_numpy(recorded_masks[name])
    expected = torch.from_numpy(recorded_masks["logits"])
    features = torch.from_numpy(recorded_masks["features"])
    for label in range(CLASSES):
        ours = layer(features, torch.full((len(features),), label))
        torch.testing.assert_close(ours, expected[:, label], rtol=0, atol=1e-5)


@pytest.mark.parametrize("predictor", [PlainMaskPredictor, cosine])
def test_own_class_equals_the_choice_from_all_masks_with_its_gradients(predictor):
    layer = predictor(8, CLASSES)
    torch.nn.init.normal_(layer.bias)
    features, labels = torch.randn(5, 8, 4, 4, requires_grad=True), torch.tensor([0, 3, 3, 5, 1])
    weight, x, scale = layer.weight, features, 1.0
    if predictor is cosine:
        weight = weight / (weight.norm(dim=1, keepdim=True) + 1e-6)
        x, scale = x / (x.norm(dim=1, keepdim=True) + 1e-6), 20.0
    every = F.conv2d(scale * x, weight, layer.bias)
    inputs = (features, layer.weight, layer.bias)
    direction = torch.randn(5, 4, 4)
    expected = torch.autograd.grad((every[range(5), labels] * direction).sum(), inputs)
    ours = layer(features, labels)
    torch.testing.assert_close(ours, every[range(5), labels], rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad((ours * direction).sum(), inputs)
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_cosine_logits_are_bounded_and_blind_to_lengths():
    layer = cosine(8, CLASSES)
    features, labels = torch.rand(2, 8, 3, 3) + 1, torch.tensor([1, 4])
    logits = layer(features, labels)
    assert logits.abs().max() <= 20
    layer.weight.data *= 7
    torch.testing.assert_close(layer(3 * features, labels), logits, rtol=1e-4, atol=1e-4)


def test_channels_and_layers():
    small = head(PlainMaskPredictor, layers=2, channels=8)
    assert small(torch.rand(3, 8, 5, 5), torch.tensor([0, 1, 2])).shape == (3, 10, 10)
    narrow = MaskHead(8, CLASSES, 0, 4, PlainMaskPredictor)
    assert narrow(torch.rand(1, 8, 5, 5), torch.tensor([0])).shape == (1, 10, 10)


def test_no_roi_has_a_graph_and_a_zero_gradient():
    small = head(layers=1, channels=8)
    logits = small(torch.rand(0, 8, 14, 14), torch.zeros(0, dtype=torch.int64))
    assert logits.shape == (0, 28, 28)
    logits.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in small.parameters())


def test_logits_are_float32_under_autocast():
    small = head(layers=1, channels=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert small(torch.rand(2, 8, 4, 4), torch.tensor([0, 1])).dtype == torch.float32
