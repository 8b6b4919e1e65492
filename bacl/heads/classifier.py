"""A classifier head: predictor, loss and feature hallucination; what an ablation varies."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from bacl.class_sums import ClassSums
from bacl.errors import OptionError, require
from bacl.hallucination import FeatureHallucination
from bacl.losses.base import ClassificationLoss
from bacl.options.ranges import Rate, Seed, Width

Features = TypeVar("Features")
"""A tensor, or for a detector with several stages a tuple of one tensor per stage."""


class Head(nn.Module, ABC, Generic[Features]):
    """What a training stage knows of a head, made by a detector for its own features."""

    learning_rate: float | None
    """Of this head, where it is not the stage's."""
    weight_decay: float | None
    """Of this head, where it is not the stage's."""

    @property
    @abstractmethod
    def needs_jittered(self) -> bool:
        """Whether `loss` wants sums of the features of jittered ground-truth boxes."""

    @abstractmethod
    def loss(
        self,
        features: Features,
        labels: Features,
        jittered: Any = None,
    ) -> Tensor:
        """The scalar classification loss of one step; see `ClassifierHead.loss`.

        Args:
            features: of the sampled RoIs.
            labels: of the sampled RoIs.
            jittered: `ClassSums`, or a tuple of them where the features are one.
        """

    @abstractmethod
    def probabilities(self, features: Features) -> Tensor:
        """(R, C + 1) of features (R, D), background last."""

    @abstractmethod
    def named_classifiers(self) -> Iterator[tuple[str, "ClassifierHead"]]:
        """Its classifiers, each with the prefix of its names in the head's `state_dict`."""


def classifiers_by_name(heads: Mapping[str, Head[Any]]) -> dict[str, "ClassifierHead"]:
    """Every classifier of the heads: a single one has its head's name, others `<head>.<stage>`."""
    return {
        f"{name}.{prefix}".rstrip("."): classifier
        for name, head in heads.items()
        for prefix, classifier in head.named_classifiers()
    }


class ClassifierHead(Head[Tensor]):
    """Classifies RoI features. It changes nothing upstream, so many heads can share one detector.

    A head uses no global random generator: trained beside others it ends bit for bit as alone.

    Args:
        feature_dim: D.
        loss: turns logits into a loss and into probabilities.
        hallucination: adds features of weak classes to every training step.
        predictor: makes the predictor from (feature_dim, num_logits); `nn.Linear` by default.
        seed: of the predictor's initial weights.
        learning_rate: of this head, where it is not the stage's; scaled with the batch like it.
        weight_decay: of this head, where it is not the stage's.

    Raises:
        OptionError: hallucination without a long-term indicator in the loss.
    """

    def __init__(
        self,
        feature_dim: Width,
        loss: ClassificationLoss,
        hallucination: FeatureHallucination | None = None,
        predictor: Callable[[int, int], nn.Module] | None = None,
        seed: Seed = 0,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
    ) -> None:
        super().__init__()
        for option, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
            require(f"head.{option}", 0 if value is None else value, 0)
        if hallucination is not None and loss.indicator is None:
            raise OptionError(
                "feature hallucination draws classes by a long-term indicator (Eq. 12), but the "
                "loss has none: take a loss that has one, or fhm@head.hallucination=none"
            )
        self.criterion = loss
        self.hallucination = hallucination
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.predictor = (predictor or nn.Linear)(feature_dim, loss.num_logits)
            loss.initialise(self.predictor)

    @property
    def needs_jittered(self) -> bool:
        """Whether `loss` wants sums of the features of jittered ground-truth boxes."""
        return self.hallucination is not None

    def loss(
        self,
        features: Tensor,
        labels: Tensor,
        jittered: ClassSums | None = None,
    ) -> Tensor:
        """The classification loss of one step; in training mode its statistics are updated too.

        The feature distributions take the step in before features are drawn from them; the loss and
        the draw read the long-term indicator as it was before the step, and the indicator observes
        every row, hallucinated ones included, after the loss.

        Args:
            features: (R, D) of the sampled RoIs.
            labels: (R,) int64 in [0, C]; C is background.
            jittered: sums of the features of jittered boxes (`bacl.hallucination.jittered_sums`),
                where `needs_jittered`.

        Returns:
            Scalar.

        Raises:
            ValueError: hallucination without jittered features.
        """
        if self.training and self.hallucination is not None:
            if jittered is None:
                raise ValueError("this head hallucinates features: pass jittered ones (Eq. 10)")
            self.hallucination.follow(jittered)
            features, labels = self._with_hallucinated(self.hallucination, features, labels)
        logits = self.predictor(features)
        loss = self.criterion(logits, labels)
        if self.training:
            self.criterion.observe(logits.detach(), labels)
        return loss

    def probabilities(self, features: Tensor) -> Tensor:
        """(R, C + 1) of features (R, D), background last."""
        return self.criterion.probabilities(self.predictor(features))

    def named_classifiers(self) -> Iterator[tuple[str, "ClassifierHead"]]:
        """Itself, without a prefix."""
        yield "", self

    def _with_hallucinated(
        self, hallucination: FeatureHallucination, features: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        assert self.criterion.indicator is not None
        new_features, new_labels = hallucination.generate(self.criterion.indicator.strength())
        features = torch.cat([features, new_features.to(features.dtype)])
        return features, torch.cat([labels, new_labels])
