import math

import pytest
import torch
from torchvision.ops import box_iou

from bacl.detectors.boxes import MAX_LOG_RATIO, BoxCoder, clip_boxes, pairwise_iou


@pytest.mark.parametrize(("name", "stds"), [("rpn", (1, 1, 1, 1)), ("rcnn", (0.1, 0.1, 0.2, 0.2))])
def test_coder_gives_the_recorded_numbers(recorded, name, stds):
    numbers = {key: torch.from_numpy(value) for key, value in recorded("e_box_coder").items()}
    coder = BoxCoder(stds)
    encoded = coder.encode(numbers["gt"], numbers["boxes"])
    torch.testing.assert_close(encoded, numbers[f"{name}_encode"], rtol=1e-6, atol=1e-6)
    deltas = numbers[f"{name}_deltas"]
    for size, key in ((None, "noshape"), ((256, 320), "256x320")):
        decoded = coder.decode(deltas, numbers["boxes"], size)
        torch.testing.assert_close(decoded, numbers[f"{name}_decode_{key}"], rtol=1e-5, atol=1e-4)


def test_encode_by_hand():
    reference, box = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[10.0, 0, 30, 10]])
    deltas = BoxCoder((0.5, 0.5, 1, 2)).encode(box, reference)
    # Centre (5, 10) to (20, 5), size 10×20 to 20×10.
    expected = torch.tensor([[3.0, -0.5, math.log(2), -math.log(2) / 2]])
    torch.testing.assert_close(deltas, expected)


def test_decode_inverts_encode_for_every_class():
    corner, other = torch.rand(20, 2) * 50, torch.rand(20, 2) * 50
    references = torch.cat((corner, corner + 5 + 20 * torch.rand(20, 2)), 1)
    boxes = torch.cat((other, other + 5 + 20 * torch.rand(20, 2)), 1)
    coder = BoxCoder((0.1, 0.1, 0.2, 0.2))
    deltas = torch.cat((coder.encode(boxes, references), torch.zeros(20, 4)), 1)
    decoded = coder.decode(deltas, references)
    torch.testing.assert_close(decoded, torch.cat((boxes, references), 1), rtol=1e-4, atol=1e-4)


def test_decode_bounds_the_growth_of_a_box():
    decoded = BoxCoder((1, 1, 1, 1)).decode(
        torch.tensor([[0.0, 0, 9, -9]]), torch.tensor([[0.0, 0, 2, 2]])
    )
    width, height = (decoded[0, 2:] - decoded[0, :2]).tolist()
    assert width == pytest.approx(2 * math.exp(MAX_LOG_RATIO)) == pytest.approx(125)
    assert height == pytest.approx(2 / 62.5)


def test_decode_of_nothing():
    coder = BoxCoder((1, 1, 1, 1))
    assert coder.decode(torch.zeros(0, 12), torch.zeros(0, 4), (5, 5)).shape == (0, 12)


def test_stds_must_be_positive():
    with pytest.raises(ValueError, match="four positive"):
        BoxCoder((1, 1, 0, 1))


def test_clip_keeps_height_and_width_apart():
    clipped = clip_boxes(torch.tensor([[-1.0, -2, 50, 60]]), (10, 20))
    assert clipped.tolist() == [[0, 0, 20, 10]]


def test_overlaps_equal_torchvision_and_are_zero_for_empty_boxes():
    corner = torch.rand(30, 2)
    boxes = torch.cat((corner, corner + torch.rand(30, 2)), 1)
    torch.testing.assert_close(pairwise_iou(boxes[:7], boxes), box_iou(boxes[:7], boxes))
    empty = torch.tensor([[1.0, 1, 1, 1]])
    assert pairwise_iou(empty, empty).item() == 0
    assert pairwise_iou(boxes, torch.zeros(0, 4)).shape == (30, 0)


def test_stds_follow_the_model_and_are_not_saved():
    coder = BoxCoder((0.1, 0.1, 0.2, 0.2))
    assert coder.to("meta").stds.is_meta
    assert not coder.state_dict()
