"""A head: a classifier for every level of a detector."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bacl.detectors.levels import Level, TrainingLevel
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.calibration import Calibration
from bacl.heads.classifier import Classifier


class Head(nn.Module):
    """Classifiers that share nothing: each learns from its own level's features and labels.

    It changes nothing upstream, so many heads can share one detector.

    Args:
        classifiers: by the level's name, in order; of equal options.
        weights: of each level's loss, by the same names.
    """

    def __init__(self, classifiers: Mapping[str, Classifier], weights: Mapping[str, float]) -> None:
        super().__init__()
        for name, classifier in classifiers.items():
            self.add_module(name, classifier)
        self.weights = tuple(weights[name] for name in classifiers)

    @property
    def classifiers(self) -> list[Classifier]:
        """One for each level, in order."""
        return [each for _, each in self.named_classifiers()]

    @property
    def init(self) -> str | None:
        """What its classifiers start from, where it is not what the stage says."""
        return self.classifiers[0].init

    @property
    def needs_start(self) -> bool:
        """Whether a part of its predictors does not train, and has to be inherited."""
        return any(getattr(predictor, "needs_start", False) for predictor in self._predictors)

    @property
    def learning_rate(self) -> float | None:
        """Of this head, where it is not the stage's."""
        return self.classifiers[0].learning_rate

    @property
    def weight_decay(self) -> float | None:
        """Of this head, where it is not the stage's."""
        return self.classifiers[0].weight_decay

    @property
    def extra_boxes(self) -> BoxGenerator | None:
        """What makes the boxes whose features it wants in `TrainingLevel.extra`, if any."""
        return self.classifiers[0].extra_boxes

    def loss(self, levels: Sequence[TrainingLevel]) -> Tensor:
        """The weighted sum of the levels' losses of one step, a scalar; see `Classifier.loss`."""
        pairs = zip(self.classifiers, levels, strict=True)
        return self.sum_of([each.loss(level) for each, level in pairs])

    def sum_of(self, losses: Sequence[Tensor]) -> Tensor:
        """The levels' losses, scalars, by their weights."""
        pairs = zip(self.weights, losses, strict=True)
        weighted = [loss if weight == 1 else weight * loss for weight, loss in pairs]
        return weighted[0] if len(weighted) == 1 else torch.stack(weighted).sum()

    @property
    def kin(self) -> Hashable | None:
        """Heads of equal kin may be computed together (`bacl.heads.together`); None: none may."""
        of_levels = [each.kin for each in self.classifiers]
        return None if None in of_levels else (self.weights, *of_levels)

    def scores(self, levels: Sequence[Level]) -> Tensor:
        """(R, C + 1) in [0, 1], background last: of the levels' mean logits, as the last scores.

        Args:
            levels: of the same R regions.
        """
        return self.calibrated(self.logits(levels), levels)

    def logits(self, levels: Sequence[Level]) -> list[Tensor]:
        """(R, K) of each level, of the same R regions, in float32 at least."""
        rows = zip(self.classifiers, levels, strict=True)
        return [each.logits(level.features, level) for each, level in rows]

    def calibrated(
        self,
        logits: Sequence[Tensor],
        levels: Sequence[Level],
        calibration: Calibration | None = None,
    ) -> Tensor:
        """Scores (R, C + 1) of logits (R, K) of each level, as the last level's classifier scores.

        Args:
            logits: what `logits` made of the levels.
            levels: of the same R regions.
            calibration: in place of the head's own.
        """
        mean = (calibration or self.calibration).mean(logits, self._predictors)
        return self.classifiers[-1].scores(mean, levels[-1], calibration)

    @property
    def calibration(self) -> Calibration:
        """The last level's, which scores."""
        return self.classifiers[-1].calibration

    @torch.no_grad()
    def gather(
        self, levels: Sequence[TrainingLevel], calibration: Calibration | None = None
    ) -> None:
        """Let a calibration that gathers observe the RoIs of a training step; nothing else moves.

        The head is trained, and in eval mode. Of a cascade the last level is observed, as every
        level samples RoIs of its own. Every process calls it together, also without RoIs.

        Args:
            levels: of the step.
            calibration: in place of the head's own.
        """
        last, level = self.classifiers[-1], levels[-1]
        observer = calibration or self.calibration
        logits = last.logits(level.features, level)
        observer.observe(observer.mean([logits], [last.predictor]), level.labels)

    @property
    def _predictors(self) -> list[nn.Module]:
        return [classifier.predictor for classifier in self.classifiers]

    def named_classifiers(self) -> Iterator[tuple[str, Classifier]]:
        """Every level's classifier, with the prefix of its names in the head's `state_dict`."""
        for name, classifier in self.named_children():
            yield f"{name}.", cast(Classifier, classifier)


def classifiers_by_name(heads: Mapping[str, Head]) -> dict[str, Classifier]:
    """Every classifier of the heads: a single one has its head's name, others `<head>.<level>`."""
    return {
        name if len(head.classifiers) == 1 else f"{name}.{prefix}".rstrip("."): classifier
        for name, head in heads.items()
        for prefix, classifier in head.named_classifiers()
    }
