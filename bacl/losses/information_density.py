"""Information density: the volume that a class's features fill, for the area of its objects.

Ma et al., "Information Density Imbalance in Visual Object Detection", 2025.
P: objects of a step. C: foreground classes. D: width of an RoI feature. d: of an embedding.
"""

import math

import torch
from torch import Tensor, nn

from bacl.losses.epochs import FollowsEpochs
from bacl.losses.rows import Rows
from bacl.processes.class_sums import ClassSums, sum_per_class


class InformationDensity(FollowsEpochs, nn.Module):
    """Gathers, in each epoch, what the next one's losses take for the classes' densities.

    I_i = 1/2 log2 det(1 + S_i) / A_i, with the covariance S_i of the embeddings of the class's
    objects and the sum A_i of their areas; losses take C · softmax(I_i / (sqrt(C) · sum of I)) + 1,
    which is 2 for all classes where densities are equal, and before the first epoch has ended.

    There is no official code. Decided here: objects are their own boxes among the sampled RoIs, of
    all processes, in pixels of the network's input; embeddings are RoI features, in a random
    subspace where there are more than `width` of them; covariances of few objects are shrunk
    towards a multiple of the identity by the oracle approximating shrinkage (Chen et al., 2010),
    which needs no more than the covariance, and not by the paper's estimator; a class without
    objects in an epoch has the mean density. Sums are exact: the paper's queues are not needed.

    Args:
        num_classes: C.
        feature_dim: D.
        width: d, at most.
        seed: of the subspace.
    """

    subspace: Tensor
    """(D, d) float32 of orthonormal columns; the identity where d is D."""
    sums: Tensor
    """(C, 1 + d + d (d + 1) / 2) float64: this epoch's areas, embeddings and their products."""
    counts: Tensor
    """(C,) int64: this epoch's objects."""
    mapped: Tensor
    """(C,) float64: what losses take, of the epoch before."""

    def __init__(self, num_classes: int, feature_dim: int, width: int, seed: int) -> None:
        super().__init__()
        self.width = min(width, feature_dim)
        self.key = (InformationDensity, num_classes, width, seed)
        self.epoch = 0
        """Finished epochs, as far as it was told."""
        columns = 1 + self.width + self.width * (self.width + 1) // 2
        self.register_buffer("subspace", _subspace(feature_dim, self.width, seed))
        self.register_buffer("sums", torch.zeros(num_classes, columns, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("mapped", torch.full((num_classes,), 2.0, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, rows: Rows) -> None:
        """Add the step's objects, of all processes; once for all heads."""
        step = rows.level.once(self.key, lambda: self._step(rows))
        self.sums[step.classes] += step.totals
        self.counts[step.classes] += step.counts

    def ratios(self, labels: Tensor) -> Tensor:
        """(P, C) float64: the density of rows' classes (P,) by that of every class."""
        return self.mapped[labels].unsqueeze(1) / self.mapped

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Make densities of the epoch that has ended, if one has."""
        if epoch > self.epoch:
            self.mapped = mapped(self.densities())
            self.sums.zero_()
            self.counts.zero_()
        self.epoch = epoch

    @torch.no_grad()
    def densities(self) -> Tensor:
        """(C,) float64: I, of this epoch's objects so far."""
        seen, counts = self.counts > 0, self.counts.clamp(min=1)
        areas, totals, products = self.sums.split(
            [1, self.width, self.sums.shape[1] - 1 - self.width], dim=1
        )
        means = totals / counts.unsqueeze(1)
        lower, upper = torch.tril_indices(self.width, self.width, device=counts.device)
        found = products / counts.unsqueeze(1) - means[:, lower] * means[:, upper]
        covariances = found.new_zeros(len(counts), self.width, self.width)
        covariances[:, lower, upper] = covariances[:, upper, lower] = found
        densities = volumes(shrunk(covariances, counts)) / areas.squeeze(1).clamp(min=1)
        mean = (densities * seen).sum() / seen.sum().clamp(min=1)
        return torch.where(seen, densities, mean)

    def get_extra_state(self) -> dict[str, int]:
        """Finished epochs."""
        return {"epoch": self.epoch}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on in the epoch of a checkpoint."""
        self.epoch = state["epoch"]

    def _step(self, rows: Rows) -> ClassSums:
        num_classes = len(self.counts)
        own = rows.own_boxes(num_classes)
        left, top, right, bottom = rows.level.rois.object_boxes[own].double().unbind(dim=1)
        embedded = rows.level.features[own].detach().double() @ self.subspace.double()
        lower, upper = torch.tril_indices(self.width, self.width, device=own.device)
        areas = ((right - left) * (bottom - top)).unsqueeze(1)
        values = torch.cat((areas, embedded, embedded[:, lower] * embedded[:, upper]), dim=1)
        return sum_per_class(values, rows.level.labels[own], num_classes)


def shrunk(covariances: Tensor, counts: Tensor) -> Tensor:
    """Covariances (C, d, d) of `counts` (C,) samples after oracle approximating shrinkage."""
    width = covariances.shape[1]
    trace = covariances.diagonal(dim1=1, dim2=2).sum(dim=1)
    squares = covariances.square().sum(dim=(1, 2))
    numerator = (1 - 2 / width) * squares + trace.square()
    denominator = (counts + 1 - 2 / width) * (squares - trace.square() / width)
    share = torch.where(denominator > 0, numerator / denominator, 1.0).clamp(max=1)
    share = share.view(-1, 1, 1)
    identity = torch.eye(width, dtype=trace.dtype, device=trace.device)
    target = (trace / width).view(-1, 1, 1) * identity
    return (1 - share) * covariances + share * target


def volumes(covariances: Tensor) -> Tensor:
    """(C,) bits: 1/2 log2 det(1 + S) of covariances (C, d, d)."""
    identity = torch.eye(covariances.shape[1], dtype=covariances.dtype, device=covariances.device)
    return torch.linalg.slogdet(identity + covariances).logabsdet / (2 * math.log(2))


def mapped(densities: Tensor) -> Tensor:
    """(C,) in [1, C + 1] with mean 2, of densities (C,); 2 where all are 0."""
    total = densities.sum()
    parts = torch.where(total > 0, densities / total, 0.0)
    return len(densities) * (parts / math.sqrt(len(densities))).softmax(dim=0) + 1


def _subspace(feature_dim: int, width: int, seed: int) -> Tensor:
    if width == feature_dim:
        return torch.eye(feature_dim)
    if torch.empty(0).is_meta:  # options are tried without numbers
        return torch.empty(feature_dim, width)
    generator = torch.Generator("cpu").manual_seed(seed)
    normals = torch.randn(
        feature_dim, width, dtype=torch.float64, device="cpu", generator=generator
    )
    return torch.linalg.qr(normals).Q.float()
