"""De-confounded training with total direct effects (De-confound-TDE; Tang et al., NeurIPS 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.heads.predictors import SMALLEST, Predictor
from bacl.messages.errors import OptionError
from bacl.options.ranges import NotNegative, Positive, Share, Width
from bacl.processes.distributed import sum_over_processes


class CausalNorm(Predictor):
    """Multi-head normalised logits; in eval mode without what every object has in common.

    Features x and weights w are cut into H heads. In training a logit is the sum over heads of
    scale / H · x · w / (|x| (|w| + gamma)). Meanwhile e follows the mean feature of foreground
    rows: e = decay · e + mean, of which only the direction counts. In eval mode, the share of x in
    this direction is taken out of the logits z, by alpha times: with p = softmax(z) and
    q = softmax(z - z_e), a foreground class scores q_j (1 - p_background) / (1 - q_background), and
    background p_background. What comes out are the logarithms of these scores, so that softmax
    gives the scores. K = C + 1, background last: it is for softmax losses.

    The mean is that of all processes' rows (published code: of each process's own), and stays where
    no process has foreground rows (published code: NaN). The weights start uniform in
    ±1 / sqrt(D), as published.

    Args:
        in_features: D.
        out_features: K.
        heads: H, a divisor of D.
        scale: of all heads together (tau).
        gamma: added to the lengths of weights.
        alpha: how much of the common direction is taken out.
        decay: share of the past in e.

    Raises:
        OptionError: features that cannot be cut into equal heads.
    """

    direction: Tensor
    """(D,) float64, e; zeros before the first foreground row."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        heads: Width,
        scale: Positive,
        gamma: NotNegative,
        alpha: NotNegative,
        decay: Share,
    ) -> None:
        super().__init__()
        if in_features % heads:
            raise OptionError(
                f"predictor.heads={heads}: {in_features} features cannot be cut into as many heads "
                "of equal width"
            )
        self.heads = heads
        self.scale = scale / heads
        self.gamma = gamma
        self.alpha = alpha
        self.decay = decay
        self.linear = nn.Linear(in_features, out_features, bias=False)
        self.register_buffer("direction", torch.zeros(in_features, dtype=torch.float64))

    @property
    def classes(self) -> nn.Module:
        """The linear layer with the weights."""
        return self.linear

    def initialise(self, by_loss: Callable[[nn.Module], None]) -> None:
        """Weights uniform in ±1 / sqrt(D), whatever the loss."""
        limit = self.linear.in_features**-0.5
        nn.init.uniform_(self.linear.weight, -limit, limit)

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D); in eval mode logarithms of scores."""
        parts = self._unit(features)
        weight = self._heads(self.linear.weight)
        lengths = (weight.norm(dim=2, keepdim=True) + self.gamma).clamp(min=SMALLEST)
        weight = (weight / lengths).flatten(1)
        logits = self.scale * functional.linear(parts.flatten(1), weight)
        if self.training:
            return logits
        common = self._common(parts).to(weight.dtype)
        return self._log_scores(logits, self.scale * functional.linear(common, weight))

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Move e by the mean of the step's foreground features, of all processes."""
        foreground = (labels < self.linear.out_features - 1).double()
        step = torch.cat((foreground @ features.double(), foreground.sum().view(1)))
        total, count = sum_over_processes(step).split([len(step) - 1, 1])
        moved = self.decay * self.direction + total / count.clamp(min=1)
        self.direction = torch.where(count > 0, moved, self.direction)

    def _common(self, parts: Tensor) -> Tensor:
        """(R, D): alpha times the share of unit heads (R, H, D / H) in the common direction."""
        common = self._unit(self.direction.unsqueeze(0)).to(parts.dtype)
        return (self.alpha * (parts * common).sum(dim=2, keepdim=True) * common).flatten(1)

    def _log_scores(self, logits: Tensor, common: Tensor) -> Tensor:
        """Log of the scores (R, K) whose foreground is told apart without the common logits."""
        factual = in_float32(logits).log_softmax(dim=1)
        direct = in_float32(logits - common)[:, :-1].log_softmax(dim=1)
        foreground = factual[:, :-1].logsumexp(dim=1, keepdim=True)
        return torch.cat((direct + foreground, factual[:, -1:]), dim=1)

    def _unit(self, rows: Tensor) -> Tensor:
        """(N, H, D / H) heads of length 1 of rows (N, D); those of zeros stay zeros."""
        return functional.normalize(self._heads(rows), dim=2, eps=SMALLEST)

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.unflatten(1, (self.heads, -1))
