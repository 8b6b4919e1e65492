import math

import numpy as np
import pytest
import torch
from torch import nn

from bacl.losses import IDGC2AM, Rows
from bacl.losses.information_density import InformationDensity, mapped, shrunk, volumes
from tests.levels import training_level

C, D = 3, 4


def step(labels: list[int], seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(len(labels), D, generator=generator)
    boxes = 10 * torch.rand(len(labels), 4, generator=generator).cumsum(dim=1)
    level = training_level(features, torch.tensor(labels), object_boxes=boxes)
    return Rows(features, nn.Identity(), level, 0)


def plain_shrinkage(samples: np.ndarray) -> np.ndarray:
    """Chen et al. 2010, Eq. 23, of a covariance over n."""
    n, p = samples.shape
    s = np.cov(samples.T, bias=True).reshape(p, p)
    trace, squares = np.trace(s), np.trace(s @ s)
    top = (1 - 2 / p) * squares + trace**2
    bottom = (n + 1 - 2 / p) * (squares - trace**2 / p)
    rho = min(1.0, top / bottom) if bottom > 0 else 1.0
    return (1 - rho) * s + rho * trace / p * np.eye(p)


def test_densities_are_volumes_of_features_over_areas_of_objects():
    density = InformationDensity(C, D, width=128, seed=0)
    steps = [step([0, 0, 1, C, 0], 1), step([0, 1, C, 1], 2)]
    for rows in steps:
        density.observe(rows)
    features = torch.cat([rows.features for rows in steps]).double().numpy()
    boxes = torch.cat([rows.level.rois.object_boxes for rows in steps]).double().numpy()
    labels = torch.cat([rows.level.labels for rows in steps]).numpy()
    expected = []
    for c in range(2):
        own = labels == c
        areas = (boxes[own, 2] - boxes[own, 0]) * (boxes[own, 3] - boxes[own, 1])
        determinant = np.linalg.det(np.eye(D) + plain_shrinkage(features[own]))
        expected.append(math.log2(determinant) / 2 / areas.sum())
    found = density.densities()
    expected.append(sum(expected) / 2)  # of a class without objects
    torch.testing.assert_close(found, torch.tensor(expected).double())
    density.begin_epoch(1, 4)
    parts = np.exp(np.array(expected) / (math.sqrt(C) * sum(expected)))
    torch.testing.assert_close(density.mapped, torch.tensor(C * parts / parts.sum() + 1))
    assert density.counts.sum() == 0
    ratios = density.mapped[[1, 0]].unsqueeze(1) / density.mapped
    assert torch.equal(density.ratios(torch.tensor([1, 0])), ratios)


def test_single_objects_have_no_volume_and_equal_densities_are_two():
    density = InformationDensity(C, D, width=2, seed=0)
    assert density.mapped.tolist() == [2, 2, 2]
    density.observe(step([0, 1, C]))
    density.begin_epoch(1, 4)
    torch.testing.assert_close(density.mapped, torch.full((C,), 2.0).double())


def test_shrinkage_keeps_the_trace_and_reaches_the_identity():
    samples = torch.randn(50, 6).double()
    covariance = torch.from_numpy(np.cov(samples.numpy().T, bias=True)).unsqueeze(0)
    found = shrunk(covariance, torch.tensor([50]))
    torch.testing.assert_close(found[0].numpy(), plain_shrinkage(samples.numpy()))
    torch.testing.assert_close(found[0].trace(), covariance[0].trace())
    few = shrunk(covariance, torch.tensor([1]))[0]
    torch.testing.assert_close(few, covariance[0].trace() / 6 * torch.eye(6).double())


def test_volumes_of_known_determinants():
    covariances = torch.stack([torch.zeros(2, 2), torch.diag(torch.tensor([1.0, 7.0]))]).double()
    assert volumes(covariances).tolist() == pytest.approx([0, 2])


@pytest.mark.parametrize(("width", "columns"), [(2, 2), (4, 4), (128, 4)])
def test_embeddings_are_of_an_orthonormal_subspace_of_the_seed(width, columns):
    density, same, other = (InformationDensity(C, D, width, seed) for seed in (0, 0, 1))
    subspace = density.subspace
    assert subspace.shape == (D, columns)
    torch.testing.assert_close(subspace.T @ subspace, torch.eye(columns))
    assert torch.equal(subspace, same.subspace)
    assert torch.equal(subspace, other.subspace) == (columns == D)


def test_heads_share_the_sums_of_a_step():
    rows = step([0, 0, 1])
    first, second, alone = (InformationDensity(C, D, 2, seed=0) for _ in range(3))
    first.observe(rows)
    second.observe(rows)
    assert len(rows.level._made) == 2  # which rows, and their sums
    alone.observe(step([0, 0, 1]))
    for each in (first, second):
        torch.testing.assert_close(each.state_dict(), alone.state_dict(), rtol=0, atol=0)


def test_it_is_told_again_and_goes_on_from_a_checkpoint():
    loss = IDGC2AM(C, D, alpha=0.5, width=2, seed=0)
    resumed = IDGC2AM(C, D, alpha=0.5, width=2, seed=0)
    logits, labels = torch.randn(4, C + 1), torch.tensor([0, 0, 1, C])
    loss.density.begin_epoch(0, 4)
    loss.observe(logits, labels, rows=step(labels.tolist()))
    loss.density.begin_epoch(1, 4)
    loss.observe(logits, labels, rows=step(labels.tolist(), 1))
    resumed.load_state_dict(loss.state_dict())
    resumed.density.begin_epoch(1, 4)
    for each in (loss, resumed):
        each.observe(logits, labels, rows=step(labels.tolist(), 2))
        each.density.begin_epoch(2, 4)
    torch.testing.assert_close(resumed.state_dict(), loss.state_dict(), rtol=0, atol=0)


def test_densities_of_none_are_equal():
    assert mapped(torch.zeros(C).double()).tolist() == [2, 2, 2]


def test_margins_are_those_of_the_densities():
    loss = IDGC2AM(C, D, alpha=0.5, width=2, seed=0)
    loss.density.mapped = torch.tensor([1.0, 2.0, 4.0]).double()
    found = loss.margins(step([0]), torch.tensor([0, 2]))
    expected = 0.5 / math.pi * torch.tensor([[0, 0.5, 0.25], [4, 2, 0]]).double()
    torch.testing.assert_close(found, expected)
