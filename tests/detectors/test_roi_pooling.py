import numpy as np
import pytest
import torch

from bacl.detectors.roi_pooling import RoIPooling, with_image_index


@pytest.fixture
def pooling():
    return RoIPooling(side=7, strides=(4, 8, 16, 32), finest_scale=56)


def test_recorded_levels_values_and_gradients(recorded, recipe, pooling):
    numbers = recorded("e_roialign")
    pyramid = []
    for level in range(4):
        draw = recipe.random_state(f"roialign_feat_{level}")
        values = draw.standard_normal((2, 8, 64 >> level, 80 >> level)).astype(np.float32)
        pyramid.append(torch.from_numpy(values).requires_grad_())
    rois = torch.from_numpy(numbers["rois"])
    assert torch.equal(pooling.levels(rois), torch.from_numpy(numbers["levels"]))
    pooled = pooling(pyramid, rois)
    torch.testing.assert_close(pooled, torch.from_numpy(numbers["bbox7"]), rtol=1e-4, atol=1e-4)
    gradient = recipe.random_state("roialign_gradout").standard_normal(pooled.shape)
    pooled.backward(torch.from_numpy(gradient.astype(np.float32)))
    for level, features in enumerate(pyramid):
        expected = torch.from_numpy(numbers[f"grad_feat_{level}"])
        torch.testing.assert_close(
            features.grad[:, : expected.shape[1]], expected, rtol=1e-3, atol=1e-3
        )


def test_level_borders(pooling):
    sides = torch.tensor([0.0, 111.9, 112.1, 223.9, 224.1, 448.1, 5000])
    zeros = torch.zeros(len(sides))
    rois = torch.stack((zeros, zeros, zeros, sides, sides), dim=1)
    assert pooling.levels(rois).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_order_of_rois_is_kept(pooling):
    pyramid = [
        torch.full((1, 2, 512 // stride, 512 // stride), float(stride)) for stride in (4, 8, 16, 32)
    ]
    sides = torch.tensor([300.0, 50, 500, 150, 60])
    zeros = torch.zeros(len(sides))
    rois = torch.stack((zeros, zeros, zeros, sides, sides), dim=1)
    pooled = pooling(pyramid, rois)
    assert pooled.mean((1, 2, 3)).tolist() == [16, 4, 32, 8, 4]


def test_no_rois_leave_a_graph(pooling):
    pyramid = [torch.rand(1, 2, 512 // s, 512 // s, requires_grad=True) for s in (4, 8, 16, 32)]
    pooled = pooling(pyramid, torch.zeros(0, 5))
    assert pooled.shape == (0, 2, 7, 7)
    pooled.sum().backward()


def test_image_index():
    boxes = [torch.ones(2, 4), torch.zeros(0, 4), torch.full((1, 4), 3.0)]
    assert with_image_index(boxes).tolist() == [[0, 1, 1, 1, 1]] * 2 + [[2, 3, 3, 3, 3]]
    assert with_image_index(boxes[1:2]).shape == (0, 5)
