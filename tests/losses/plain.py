"""Every loss written down as a plain loop over rows and channels, to compare with.

A loss that draws has the same draws here: its numbers come from the loss, what becomes of them
does not.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    SparseConfusionMatrix,
    TruePositiveRate,
)
from bacl.losses import (
    ACSL,
    BAGS,
    C2AM,
    ECM,
    EFL,
    EQL,
    FCBL,
    GOL,
    IDGC2AM,
    IIF,
    LDAM,
    PCB,
    ROG,
    BalancedSigmoid,
    BinaryCrossEntropy,
    ClassBalancedSigmoid,
    ClassBalancedSoftmax,
    ClassificationLoss,
    DropLoss,
    EQLv2,
    EquilibriumLoss,
    FederatedLoss,
    Focal,
    Forest,
    GumbelCrossEntropy,
    IDGFocal,
    IDGSeesaw,
    LogitAdjustment,
    MetaBalancedSigmoid,
    ReweightedCrossEntropy,
    Seesaw,
    SimCal,
    SoftmaxCrossEntropy,
)
from tests.losses.counts import COUNTS
from tests.losses.rows import Cosines, rows_of

C = 4
CPU = torch.device("cpu")
DENSITIES = [1.5, 2.0, 3.0, 1.2]
"""Of classes, where a loss of the contract's test has some."""


def by_row(row: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss that is the mean of `row(loss, logits of a row, its label)`."""

    def plain(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> Tensor:
        rows = [row(loss, z, int(label)) for z, label in zip(logits, labels, strict=True)]
        return sum(rows) / len(rows)

    return plain


def softmax_row(loss: ClassificationLoss, z: Tensor, label: int) -> Tensor:
    return -z[label] + sum(z[k].exp() for k in range(C + 1)).log()


def bce(z: Tensor, positive: bool) -> Tensor:
    p = 1 / (1 + (-z).exp())
    return -p.log() if positive else -(1 - p).log()


def bce_row(loss: ClassificationLoss, z: Tensor, label: int) -> Tensor:
    return sum(bce(z[k], k == label) for k in range(loss.num_logits))


def fcbl_row(loss: FCBL, z: Tensor, label: int) -> Tensor:
    if label == C:
        return bce_row(loss, z, label)
    p = [float(1 / (1 + (-value).exp())) for value in z.detach()]
    short = [p[k] * (1 - p[C]) for k in range(C)]
    total = bce(z[label], True) + bce(z[C], False)
    for j in range(C):
        if j == label:
            continue
        confused = loss.misclassified and short[j] >= short[label]
        confident = loss.overconfident and short[j] >= loss.threshold
        if loss.weight and not (confused or confident):
            continue
        total = total + bce(z[j] + (margin(loss, label, j) if loss.margin else 0), False)
    return total


def eqlv2_row(loss: EQLv2, z: Tensor, label: int) -> Tensor:
    total = bce(z[C], label == C)
    for j in range(C):
        ratio = float(loss.positive[j]) / (float(loss.negative[j]) + 1e-10)
        unseen = float(loss.positive[j]) == float(loss.negative[j]) == 0
        negative = 1.0 if unseen else 1 / (1 + math.exp(-loss.gamma * (ratio - loss.mu)))
        weight = 1 + loss.alpha * (1 - negative) if j == label else negative
        total = total + weight * bce(z[j], j == label)
    return total


def seesaw_row(loss: Seesaw, labels: Tensor, z: Tensor, label: int) -> Tensor:
    objectness = z[C:].exp()
    total = -(objectness[int(label == C)] / objectness.sum()).log()
    if label == C:
        return total
    n = [max(1, int(loss.counts[j]) + int((labels == j).sum())) for j in range(C)]
    s = [float(value) for value in z.detach()[:C].exp() / z.detach()[:C].exp().sum()]
    terms = []
    for j in range(C):
        factor = (n[j] / n[label]) ** loss.mitigation if n[j] < n[label] else 1
        if isinstance(loss, IDGSeesaw):
            factor *= (DENSITIES[label] / DENSITIES[j]) ** loss.exponent
        if s[j] > s[label]:
            factor *= max(1, s[j] / max(s[label], 0.01)) ** loss.compensation
        terms.append(factor * z[j].exp())
    return total - (z[label].exp() / sum(terms)).log()


def margin(loss: FCBL, i: int, j: int) -> float:
    indicator, floor = loss.indicator, 1e-3
    if isinstance(indicator, ConfusionMatrix):
        matrix = indicator.numerator / indicator.counts.clamp(min=1)[:, None]
        other, own = matrix[i, j], matrix[j, i]
    elif isinstance(indicator, SparseConfusionMatrix):
        rows = indicator.rows(torch.tensor([i, j]))  # tests/test_sparse_confusion.py
        other, own = rows[0, j], rows[1, i]
    elif isinstance(indicator, CumulativeInstances):
        other, own, floor = indicator.counts[j], indicator.counts[i], 1
    elif isinstance(indicator, TruePositiveRate):
        rates = indicator.hits / indicator.counts.clamp(min=1)
        other, own = rates[j], rates[i]
    else:
        other, own = indicator.scores[j], indicator.scores[i]
    return loss.alpha * math.log(max(float(other), floor) / max(float(own), floor))


def seesaw(loss: Seesaw, logits: Tensor, labels: Tensor) -> Tensor:
    rows = zip(logits, labels.tolist(), strict=True)
    return sum(seesaw_row(loss, labels, z, label) for z, label in rows) / len(labels)


def eql_row(loss: EQL, z: Tensor, label: int) -> Tensor:
    total = torch.zeros((), dtype=z.dtype)
    for k in range(C):
        if k == label or label == C or not loss.tail[k]:
            total = total + bce(z[k], k == label)
    return total


def droploss(loss: DropLoss, logits: Tensor, labels: Tensor, term=bce) -> Tensor:
    draws = loss.uniform((*labels.shape, C), CPU)
    foreground = [label for label in labels.tolist() if label < C]
    tail = [label for label in foreground if loss.tail[label]]
    share = len(tail) / len(foreground) if foreground else 1
    total = torch.zeros((), dtype=logits.dtype)
    for row, label in enumerate(labels.tolist()):
        for k in range(C):
            drawn = label == C and draws[row, k] <= share
            if k == label or drawn or not loss.tail[k]:
                total = total + term(logits[row, k], k == label)
    return total / len(labels)


def acsl(loss: ACSL, logits: Tensor, labels: Tensor) -> Tensor:
    draws = loss.uniform((2, len(labels)), CPU)
    background = [row for row, label in enumerate(labels.tolist()) if label == C]
    suppressing = {2: background}
    for group, share in ((0, loss.rare), (1, loss.common)):
        lots = sorted(background, key=lambda row, group=group: draws[group, row])
        suppressing[group] = lots[: int(share * len(background))]
    total = torch.zeros((), dtype=logits.dtype)
    for row, label in enumerate(labels.tolist()):
        for k in range(C + 1):
            drawn = k < C and row in suppressing[int(loss.groups[k])]
            confident = (
                label < C and 1 / (1 + math.exp(-float(logits.detach()[row, k]))) >= loss.threshold
            )
            if k == label or drawn or confident:
                total = total + bce(logits[row, k], k == label)
    return total / len(labels)


def c2am_row(loss: C2AM, z: Tensor, label: int) -> Tensor:
    if label == C:
        return softmax_row(loss, z, label)
    predictor = Cosines(loss.num_logits)
    length = [math.sqrt(sum(x * x for x in row)) for row in predictor.weight.tolist()]
    terms, s = [value.exp() for value in z], predictor.cosine_scale
    for j in range(C):
        m = max(0.0, loss.alpha / math.pi * math.log(length[label] / length[j]))
        if isinstance(loss, IDGC2AM):
            m = 0.0 if j == label else loss.alpha / math.pi * DENSITIES[label] / DENSITIES[j]
        terms[j] = (s * ((z[j] / s).acos() + m).cos()).exp()
    return -(terms[label] / sum(terms)).log()


def federated(loss: FederatedLoss, logits: Tensor, labels: Tensor) -> Tensor:
    draws = loss.uniform((C,), CPU)
    judged = set(labels.tolist())
    times = {c: -math.log(1 - draws[c]) / w for c, w in enumerate(loss.weights.tolist()) if w > 0}
    for c in sorted(set(times) - judged, key=times.get):
        if len(judged) < loss.classes:
            judged.add(c)
    total = torch.zeros((), dtype=logits.dtype)
    for row, label in enumerate(labels.tolist()):
        for k in range(C):
            if k in judged:
                total = total + bce(logits[row, k], k == label)
    return total / len(labels)


def ecm_row(loss: ECM, z: Tensor, label: int) -> Tensor:
    images = [max(1, n) for n in COUNTS.image_counts]
    images.append(2 * sum(images))  # as the loss of the contract's test has it
    total = torch.zeros((), dtype=z.dtype)
    for k, n in enumerate(images):
        others = sum(images) - n
        summed, ratio = n**0.25 + others**0.25, others / n
        own = (z[k] + math.log(summed / others**0.25)).exp()
        other = (-z[k] + math.log(summed / n**0.25)).exp()
        p = own / (own + other)
        weight = ratio * math.log((1 + ratio) / ratio)
        total = total - weight * (p.log() if k == label else (1 - p).log())
    return total


def gumbel_bce(z: Tensor, positive: bool) -> Tensor:
    p = (-((-z.clamp(-4, 10)).exp())).exp()
    return -p.log() if positive else -(1 - p).log()


def gumbel(loss: GumbelCrossEntropy, logits: Tensor, labels: Tensor) -> Tensor:
    rows = zip(logits, labels.tolist(), strict=True)
    terms = [gumbel_bce(z[k], k == label) for z, label in rows for k in range(C + 1)]
    return (sum(terms) / len(labels)).clamp(max=20)


def group_softmax(z: Tensor, columns: list[int], target: int) -> Tensor:
    return sum(z[k].exp() for k in columns).log() - z[target]


def bags(loss: BAGS, logits: Tensor, labels: Tensor) -> Tensor:
    draws = loss.uniform((3, len(labels)), CPU)
    rows = list(enumerate(labels.tolist()))
    total = sum(group_softmax(logits[row], [C, C + 1], C + (y < C)) for row, y in rows) / len(rows)
    # Of 4000, 80, 6 and 0 instances, with boundaries at 10 and 100.
    for group, classes in enumerate(([2, 3], [1], [0])):
        inside = [row for row, label in rows if label in classes]
        others = sorted({row for row, _ in rows} - set(inside), key=lambda row: draws[group, row])
        kept = inside + others[: int(loss.others * len(inside))]
        columns = [*classes, C + 2 + group]
        losses = [
            group_softmax(logits[row], columns, int(labels[row]) if row in inside else columns[-1])
            for row in kept
        ]
        total = total + sum(losses) / max(1, len(kept))
    return total


def iif_row(loss: IIF, z: Tensor, label: int) -> Tensor:
    factors = [math.log(2000 / max(1, n)) for n in COUNTS.image_counts]
    scaled = [z[k] * w for k, w in enumerate([*factors, 1])]
    return sum(value.exp() for value in scaled).log() - scaled[label]


def balms_row(loss: BalancedSigmoid, z: Tensor, label: int) -> Tensor:
    total = torch.zeros((), dtype=z.dtype)
    for k, n in enumerate(COUNTS.image_counts):
        share = max(1, n) / 2000
        shift = math.log((1 - share) / share) if label < C else 0
        total = total + bce(z[k] - shift, k == label)
    return total


def meta_gradient(
    loss: MetaBalancedSigmoid, logits: Tensor, labels: Tensor, features: Tensor
) -> Tensor:
    """By automatic differentiation through a step of a linear classifier, row by row."""
    w = loss.weights.value.clone().requires_grad_()
    inputs = torch.cat((features, torch.ones(len(features), 1)), dim=1).double()
    counts = [int((labels == c).sum()) for c in range(C)]
    delta = torch.zeros(C, inputs.shape[1], dtype=torch.float64, requires_grad=True)

    def total(at: Tensor, weights: list[Tensor | float]) -> Tensor:
        moved = logits.detach().double() + inputs @ at.t()
        rows = zip(moved, labels.tolist(), strict=True)
        return sum(weights[label] * balms_row(loss, z, label) for z, label in rows) / len(labels)

    mean = sum(n * w[c].sigmoid() for c, n in enumerate(counts)) / sum(counts)
    shares = [w[c].sigmoid() / mean for c in range(C)]
    (slope,) = torch.autograd.grad(total(delta, [*shares, 1.0]), delta, create_graph=True)
    occurring = sum(n > 0 for n in counts)
    balanced = [sum(counts) / occurring / max(1, n) for n in counts]
    after = total(delta - loss.inner_rate * slope, [*balanced, 1.0])
    return torch.autograd.grad(after, w)[0]


def balms_meta(loss: MetaBalancedSigmoid, logits: Tensor, labels: Tensor) -> Tensor:
    foreground = [label for label in labels.tolist() if label < C]
    if not foreground:
        return by_row(balms_row)(loss, logits, labels)
    adam = loss.weights
    gradient = meta_gradient(loss, logits, labels, rows_of(logits, labels).features)
    t = int(adam.steps) + 1
    mean = (0.9 * adam.mean + 0.1 * gradient) / (1 - 0.9**t)
    square = (0.999 * adam.square + 0.001 * gradient**2) / (1 - 0.999**t)
    w = (adam.value - adam.rate * mean / (square.sqrt() + 1e-8)).tolist()
    shares = [1 / (1 + math.exp(-value)) for value in w]
    mean_share = sum(shares[label] for label in foreground) / len(foreground)
    weights = [share / mean_share for share in shares] + [1.0]
    rows = zip(logits, labels.tolist(), strict=True)
    return sum(weights[label] * balms_row(loss, z, label) for z, label in rows) / len(labels)


def reweighted(loss: ReweightedCrossEntropy, logits: Tensor, labels: Tensor) -> Tensor:
    inverse = [max(1, n) ** -loss.rho for n in COUNTS.instance_counts]
    weights = [C * each / sum(inverse) for each in inverse] + [1.0]
    own = [weights[label] for label in labels.tolist()]
    rows = zip(own, logits, labels.tolist(), strict=True)
    return sum(w * softmax_row(loss, z, label) for w, z, label in rows) / sum(own)


def equilibrium(loss: EquilibriumLoss, logits: Tensor, labels: Tensor) -> Tensor:
    """With one object for each class among the labels."""
    rows = list(zip(logits, labels.tolist(), strict=True))
    scores = [*loss.indicator.scores.tolist(), loss.initial]
    for j in range(C):
        own = [float(z.detach().softmax(0)[j]) for z, label in rows if label == j]
        if own:
            scores[j] = loss.indicator.gamma * scores[j]
            scores[j] += (1 - loss.indicator.gamma) * sum(own) / len(own)
    margins = torch.tensor(scores, dtype=logits.dtype).log()
    return sum(softmax_row(loss, z + margins, label) for z, label in rows) / len(rows)


def pcb(loss: PCB, logits: Tensor, labels: Tensor) -> Tensor:
    rows = list(zip(logits, labels.tolist(), strict=True))
    matrix = loss.matrix.tolist()
    for i in range(C):
        own = [z.detach()[:C].double().softmax(0).tolist() for z, label in rows if label == i]
        if own:
            mean = [sum(column) / len(own) for column in zip(*own, strict=True)]
            moved = [0.99 * matrix[i][k] + 0.01 * mean[k] for k in range(C)]
            matrix[i] = [value / sum(moved) for value in moved]
    total = torch.zeros((), dtype=logits.dtype)
    for z, label in rows:
        cross_entropy = softmax_row(loss, z, label)
        if label == C or not loss.balanced:
            total = total + cross_entropy
            continue
        column = [matrix[k][label] for k in range(C)]
        divergence = torch.zeros((), dtype=logits.dtype)
        for k, p in enumerate(value / sum(column) for value in column):
            if p > 0:
                divergence = divergence + p * (math.log(p) + softmax_row(loss, z, k))
        total = total + (1 - loss.alpha) * cross_entropy + loss.alpha * divergence
    return total / len(rows)


def simcal(loss: SimCal, logits: Tensor, labels: Tensor) -> Tensor:
    """Of rows of one image."""
    draws = loss.uniform((C + len(labels),), CPU).double().tolist()
    images = [max(1, n) for n in COUNTS.image_counts]
    rows = list(enumerate(labels.tolist()))
    present = sorted({label for _, label in rows} - {C})
    if not present:
        return torch.zeros((), dtype=logits.dtype)
    chosen = min(present, key=lambda c: -math.log(1 - draws[c]) * images[c])
    positive = [row for row, label in rows if label == chosen]
    background = sorted((draws[C + row], row) for row, label in rows if label == C)
    kept = positive + [row for _, row in background[: len(positive)]]
    return sum(softmax_row(loss, logits[row], int(labels[row])) for row in kept) / len(kept)


def forest_row(loss: Forest, z: Tensor, label: int) -> Tensor:
    total, start = softmax_row(loss, z, label), C + 1
    for tree, size in zip(loss.tree_parents.tolist(), (4, 3), strict=True):
        parents = z[start : start + size]
        total = total - parents[tree[label]] + sum(value.exp() for value in parents).log()
        start += size
    return total


INSTANCES = [max(1, n) for n in COUNTS.instance_counts]


def logit_adjustment_row(loss: LogitAdjustment, z: Tensor, label: int) -> Tensor:
    tau = 0.8  # as in the contract's test
    priors = [(n / sum(INSTANCES)) ** tau for n in INSTANCES] + [1]
    terms = [prior * value.exp() for prior, value in zip(priors, z, strict=True)]
    return -(terms[label] / sum(terms)).log()


def effective_weight(label: int, beta: float) -> float:
    """By effective numbers of samples, with mean 1."""
    if label == C:
        return 1.0
    effective = [sum(beta**k for k in range(n)) for n in INSTANCES]
    return C / effective[label] / sum(1 / number for number in effective)


def class_balanced_row(row: Callable[..., Tensor], loss, z: Tensor, label: int) -> Tensor:
    weight = min(max(effective_weight(label, 0.9), 0.3), 2.0)  # as in the contract's test
    return weight * row(loss, z, label)


def focal_row(loss: Focal | EFL, z: Tensor, label: int) -> Tensor:
    total = torch.zeros((), dtype=z.dtype)
    for k in range(C):
        gamma, weight = loss.gamma, 1.0
        if isinstance(loss, EFL):
            positive, negative = float(loss.positive[k]), float(loss.negative[k])
            g = min(1.0, positive / (negative + 1e-10)) if positive + negative else 1.0
            gamma += loss.scale * (1 - g)
            weight = gamma / loss.gamma
        if isinstance(loss, IDGFocal):
            weight *= DENSITIES[k]
        p = 1 / (1 + (-z[k]).exp())
        q, alpha = (p, loss.alpha) if k == label else (1 - p, 1 - loss.alpha)
        total = total - weight * alpha * (1 - q) ** gamma * q.log()
    return total


def ldam_row(loss: LDAM, z: Tensor, label: int) -> Tensor:
    scale, terms = Cosines(C + 1).cosine_scale, [value.exp() for value in z]
    if label < C:
        margin = 0.5 * (min(INSTANCES) / INSTANCES[label]) ** 0.25
        terms[label] = (z[label] - scale * margin).exp()
    weight = effective_weight(label, 0.9) if loss.weighted else 1
    return -weight * (terms[label] / sum(terms)).log()


def rog(loss: ROG, logits: Tensor, labels: Tensor) -> Tensor:
    """The term's gradient is not its derivative, but that of `pulled`, whose value is not used."""
    z, labels_list = logits.detach().tolist(), labels.tolist()
    present = sorted(set(labels_list) - {C})
    shares = [(1 / int(n)) ** loss.gamma for n in loss.samples]
    value, pulled = 0.0, torch.zeros((), dtype=logits.dtype)

    def smooth(gap: float) -> float:
        return min(max(gap / (2 * loss.delta) + 0.5, 0.0), 1.0)

    for m in present:
        rows = [row for row, label in enumerate(labels_list) if label == m]
        weight = loss.weight * shares[m] / sum(shares) * C / len(rows) / len(present)
        negatives = [(r, k) for r, y in enumerate(labels_list) for k in range(C) if k != y]
        for row in rows:
            rank = sum(smooth(z[other][m] - z[row][m]) for other in rows)
            false = sum(smooth(z[r][k] - z[row][m]) for r, k in negatives)
            error = false / (rank + false)
            value += error / len(rows) / len(present)
            pulled = pulled - weight * error * logits[row, m]
            for r, k in negatives:
                share = smooth(z[r][k] - z[row][m]) / (rank + false)
                pulled = pulled + weight * share * logits[r, k]
    return loop(loss.base, logits, labels) + value + pulled - pulled.detach()


PLAIN: dict[type[ClassificationLoss], Callable[..., Tensor]] = {
    SoftmaxCrossEntropy: by_row(softmax_row),
    BinaryCrossEntropy: by_row(bce_row),
    FCBL: by_row(fcbl_row),
    EQLv2: by_row(eqlv2_row),
    Seesaw: seesaw,
    EQL: by_row(eql_row),
    DropLoss: droploss,
    ACSL: acsl,
    ReweightedCrossEntropy: reweighted,
    EquilibriumLoss: equilibrium,
    PCB: pcb,
    Forest: by_row(forest_row),
    SimCal: simcal,
    C2AM: by_row(c2am_row),
    FederatedLoss: federated,
    BAGS: bags,
    IIF: by_row(iif_row),
    BalancedSigmoid: by_row(balms_row),
    MetaBalancedSigmoid: balms_meta,
    LogitAdjustment: by_row(logit_adjustment_row),
    ClassBalancedSoftmax: by_row(partial(class_balanced_row, softmax_row)),
    ClassBalancedSigmoid: by_row(partial(class_balanced_row, bce_row)),
    Focal: by_row(focal_row),
    EFL: by_row(focal_row),
    LDAM: by_row(ldam_row),
    ROG: rog,
    ECM: by_row(ecm_row),
    GumbelCrossEntropy: gumbel,
    GOL: partial(droploss, term=gumbel_bce),
}
"""The plain loop of a loss: that of its own class, else of the next one that it is made from."""


def loop(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> Tensor:
    plain = next(PLAIN[kind] for kind in type(loss).__mro__ if kind in PLAIN)
    return plain(loss, logits, labels)
