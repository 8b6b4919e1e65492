"""A head for a detector with several stages: a classifier for each of them."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from bacl.class_sums import ClassSums
from bacl.heads import ClassifierHead, Head
from bacl.losses.base import in_float32


class CascadeHead(Head[tuple[Tensor, ...]]):
    """Classifiers that share nothing: each learns from its own stage's features and labels.

    Args:
        classifiers: by the stage's name, in order; of equal options.
        loss_weights: of each stage's loss.
    """

    def __init__(
        self, classifiers: Mapping[str, ClassifierHead], loss_weights: Mapping[str, float]
    ) -> None:
        super().__init__()
        for name, classifier in classifiers.items():
            self.add_module(name, classifier)
        self.loss_weights = tuple(loss_weights[name] for name in classifiers)
        first = next(iter(classifiers.values()))
        self.learning_rate, self.weight_decay = first.learning_rate, first.weight_decay

    @property
    def needs_jittered(self) -> bool:
        """Whether a classifier wants sums of the features of jittered ground-truth boxes."""
        return any(classifier.needs_jittered for classifier in self._classifiers())

    def loss(
        self,
        features: tuple[Tensor, ...],
        labels: tuple[Tensor, ...],
        jittered: tuple[ClassSums, ...] | None = None,
    ) -> Tensor:
        """The weighted sum of the stages' losses; see `ClassifierHead.loss`.

        Args:
            features: (R, D) per stage.
            labels: (R,) int64 in [0, C] per stage.
            jittered: per stage the sums of its features of the same boxes, where `needs_jittered`.
        """
        sums = jittered or (None,) * len(features)
        stages = zip(self.loss_weights, self._classifiers(), features, labels, sums, strict=True)
        losses = [
            weight * classifier.loss(rows, row_labels, own)
            for weight, classifier, rows, row_labels, own in stages
        ]
        return torch.stack(losses).sum()

    def probabilities(self, features: tuple[Tensor, ...]) -> Tensor:
        """(R, C + 1), background last, of the stages' mean logits by the last stage's loss.

        Args:
            features: (R, D) per stage, of the same R regions.
        """
        classifiers = self._classifiers()
        logits = [
            in_float32(classifier.predictor(rows))
            for classifier, rows in zip(classifiers, features, strict=True)
        ]
        return classifiers[-1].criterion.probabilities(torch.stack(logits).mean(dim=0))

    def named_classifiers(self) -> Iterator[tuple[str, ClassifierHead]]:
        """Every stage's classifier."""
        for name, classifier in self.named_children():
            yield f"{name}.", classifier  # type: ignore[misc]

    def _classifiers(self) -> list[ClassifierHead]:
        return [classifier for _, classifier in self.named_classifiers()]
