"""Heads of one kind computed together: as many operators as one head's, and a few for each further.

Forty heads would be forty times the same small operators, and a GPU waits for Python between them.
What differs between the heads (weights, statistics, draws, classes of added rows) is read and
written head by head, matrix products too, since a batched one rounds otherwise; all else is
computed once for all. Beside other processes, as on a CPU, each head is computed alone.
H: these heads. R: rows of a step. C: foreground classes.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from bacl.detectors.levels import TrainingLevel
from bacl.heads.classifier import Classifier
from bacl.heads.failures import Failures
from bacl.heads.head import Head
from bacl.heads.predictors import Predictor
from bacl.indicators.stacked import stacked
from bacl.losses.rows import Rows
from bacl.processes.distributed import num_processes

ALONE_ON = ("cpu",)
"""Devices on which each head is computed by itself: there operators of this size cost their
arithmetic and the memory that they touch, and a large stack of logits leaves the caches."""
LARGEST = 2**24
"""Logits that are computed together at most: 64 MiB, and a few times that for what is made of
them."""


def losses(
    heads: Mapping[str, Head],
    levels: Sequence[TrainingLevel],
    failures: Failures | None = None,
) -> dict[str, Tensor]:
    """Every head's `Head.loss` of a step, bit for bit, by name.

    Args:
        heads: by name.
        levels: of the step.
        failures: takes note of heads whose loss raises an error, and these have none. Of heads that
            were computed at once nobody knows which one it was, and all of them fail: in the first
            step, where most errors are, each is computed alone.
    """
    failures = failures or Failures()
    found: dict[str, Tensor] = {}
    for names in _alike(heads, levels, failures.tolerated and failures.first):
        own = [heads[name] for name in names]
        values: Sequence[Tensor] = ()
        with failures.of(names):
            values = [own[0].loss(levels)] if len(own) == 1 else _together(own, levels)
        if not failures.any_of(names):  # on any process
            found |= dict(zip(names, values, strict=True))
    failures.first = False
    return {name: found[name] for name in heads if name in found}


def _together(heads: Sequence[Head], levels: Sequence[TrainingLevel]) -> list[Tensor]:
    """Losses of heads of equal kin, level by level."""
    of_levels = [
        _of_level([head.classifiers[number] for head in heads], level)
        for number, level in enumerate(levels)
    ]
    return [head.sum_of(parts) for head, *parts in zip(heads, *of_levels, strict=True)]


def _of_level(classifiers: Sequence[Classifier], level: TrainingLevel) -> list[Tensor]:
    """`Classifier.loss` of classifiers of equal kin."""
    added = _added(classifiers, level)
    sizes = [len(labels) for _, labels in added]
    found: dict[int, Tensor] = {}
    for size in set(sizes):  # one, but while classes are drawn that a head has not seen
        own = [number for number, count in enumerate(sizes) if count == size]
        parts = [classifiers[number] for number in own], [added[number] for number in own]
        found |= dict(zip(own, _of_equal_rows(*parts, level), strict=True))
    return [found[number] for number in range(len(classifiers))]


def _of_equal_rows(
    classifiers: Sequence[Classifier], added: Sequence[tuple[Tensor, Tensor]], level: TrainingLevel
) -> Iterable[Tensor]:
    """The same of H that have added as many rows each."""
    criteria = [each.criterion for each in classifiers]
    sampled, first = level.features, classifiers[0]
    more = stacked([features for features, _ in added]).to(sampled.dtype)
    features = torch.cat((sampled.expand(len(added), -1, -1), more), dim=1).unbind()
    own_labels = stacked([labels for _, labels in added])
    labels = torch.cat((level.labels.expand(len(added), -1), own_labels), dim=1)
    pairs = list(zip(classifiers, features, strict=True))
    logits = stacked([each.logits(own, level) for each, own in pairs])
    rows = Rows(features[0], first.predictor, level, own_labels.shape[1], first.added_classes)
    foreground = rows.foregrounds(labels, criteria[0].num_classes)
    losses = type(criteria[0]).together(criteria, logits, labels, foreground)
    if indicators := [each.indicator for each in criteria if each.indicator]:
        kind = type(indicators[0])
        kind.observe_together(indicators, logits.detach(), labels, foreground)
    for (each, own), of_head in zip(pairs, labels, strict=True):
        if isinstance(each.predictor, Predictor):
            each.predictor.observe(own.detach(), of_head)
    return losses


def _added(
    classifiers: Sequence[Classifier], level: TrainingLevel
) -> Sequence[tuple[Tensor, Tensor]]:
    """Features (n, D) and labels (n,) that each adds to the level's rows."""
    modules = [each.hallucination for each in classifiers if each.hallucination]
    if not modules:
        return [(level.features[:0], level.labels[:0])] * len(classifiers)
    indicators = [each.criterion.indicator for each in classifiers if each.criterion.indicator]
    return type(modules[0]).added_together(modules, level, indicators)


def _alike(
    heads: Mapping[str, Head], levels: Sequence[TrainingLevel], apart: bool = False
) -> list[list[str]]:
    """Names of heads of equal kin, no more in a group than are to be computed together.

    Beside other processes each is alone. They sum what heads observe, in one order and one shape;
    but their rows, and so how many heads fit in a group, and how many of the classes that each
    draws have been seen, are their own.
    """
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    devices = {level.features.device.type for level in levels}
    alone = apart or num_processes() > 1 or not devices.isdisjoint(ALONE_ON)
    for name, head in heads.items():
        groups[name if alone or head.kin is None else (Head, head.kin)].append(name)
    return [part for names in groups.values() for part in _parts(names, heads, levels)]


def _parts(
    names: list[str], heads: Mapping[str, Head], levels: Sequence[TrainingLevel]
) -> list[list[str]]:
    rows = max((len(level.features) for level in levels), default=0)
    widest = max(each.criterion.num_logits for each in heads[names[0]].classifiers)
    size = max(1, LARGEST // max(1, rows * widest))
    return [names[start : start + size] for start in range(0, len(names), size)]
