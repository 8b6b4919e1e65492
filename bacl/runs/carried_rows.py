"""Classifier heads that start from the classifier of a trained detector of other categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.category_rows import logits_by_category
from bacl.checkpoints.trained_detector import TrainedDetector, TrainedHead
from bacl.files.state_dicts import not_finite
from bacl.heads import Classifier, Head
from bacl.heads.predictors import class_module
from bacl.losses import ClassificationLoss
from bacl.runs.continued import trained_by

NONE = "there is no classifier"


@dataclass(frozen=True)
class CarriedRows:
    """What a head takes of a classifier."""

    source: str
    """Name of the classifier."""
    layers: list[tuple[nn.Module, dict[str, Tensor]]]
    """Modules with rows of classes, and what is loaded into them."""
    without: str = ""
    """Why nothing is taken."""

    def load(self) -> None:
        """Set the rows."""
        for module, state in self.layers:
            module.load_state_dict(state)


def carried_rows(
    name: str, head: Head, trained: TrainedDetector, match: CategoryMatch
) -> CarriedRows:
    """Rows for a head: of the classifier of its name, or else of the first that means the same.

    Args:
        name: of the head.
        head: has yet to start.
        trained: what has the classifiers.
        match: of the categories.
    """
    reasons = []
    for source in sorted(trained.heads, key=lambda each: each != name):
        found = _of(source, head, trained.heads[source], match)
        if not found.without:
            return found
        reasons.append(f"{source}: {found.without}")
    return CarriedRows("", [], "; ".join(reasons) or NONE)


def without_meaning(name: str, head: Head, trained: TrainedDetector) -> str:
    """Why no classifier means the same as a head, whatever the categories are; empty if one does.

    Args:
        name: of the head.
        head: may be without numbers.
        trained: what has the classifiers.
    """
    own = {prefix.rstrip("."): each for prefix, each in head.named_classifiers()}
    order = sorted(trained.heads, key=lambda each: each != name)
    reasons = {source: _another_meaning(own, trained.heads[source]) for source in order}
    if trained.heads and not all(reasons.values()):
        return ""
    return "; ".join(f"{source}: {told}" for source, told in reasons.items()) or NONE


def _of(source: str, head: Head, theirs: TrainedHead, match: CategoryMatch) -> CarriedRows:
    layers: list[tuple[nn.Module, dict[str, Tensor]]] = []
    own = {prefix.rstrip("."): each for prefix, each in head.named_classifiers()}
    if told := _another_meaning(own, theirs):
        return CarriedRows(source, [], told)
    for level, classifier in own.items():
        module = class_module(classifier.predictor)
        state = _rows(module, theirs.levels[level], match, _is_relative(classifier.criterion))
        if state is None:
            return CarriedRows(source, [], "its rows are of another number or width")
        layers.append((module, state))
    return CarriedRows(source, layers)


def _another_meaning(own: Mapping[str, Classifier], theirs: TrainedHead) -> str:
    """Why rows of a classifier would say something else here; empty if they would not."""
    first = next(iter(own.values()))
    loss, module = first.criterion, class_module(first.predictor)
    if theirs.loss is None or theirs.predictor is None:
        return "how it scores is not known"
    if trained_by(loss).probabilities is not theirs.loss.probabilities:
        return f"scores as {theirs.loss.__name__} does, not as {trained_by(loss).__name__}"
    if not all(getattr(part, "one_logit_a_class", True) for part in loss.modules()):
        return f"{trained_by(loss).__name__} has several logits for a category"
    if type(first.predictor) is not theirs.predictor:
        kinds = theirs.predictor.__name__, type(first.predictor).__name__
        return f"is a {kinds[0]}, here it is a {kinds[1]}"
    if own.keys() != theirs.levels.keys():
        return f"has the levels {', '.join(theirs.levels)}, here they are {', '.join(own)}"
    same = all(set(module.state_dict()) == set(state) for state in theirs.levels.values())
    return "" if same else "has other weights"


def _rows(
    module: nn.Module, theirs: Mapping[str, Tensor], match: CategoryMatch, relative: bool
) -> dict[str, Tensor] | None:
    """State of a module with rows of classes; None where something does not fit."""
    state = {}
    for key, own in module.state_dict().items():
        rows = theirs[key]
        made = None
        if not_finite(rows) is None:
            made = logits_by_category(rows, own, match, relative)
        if made is None:
            return None
        state[key] = made
    return state


@torch.no_grad()
def _is_relative(loss: ClassificationLoss) -> bool:
    """Whether its scores depend on differences between logits alone, as those of softmax do."""
    logits = torch.linspace(-1, 1, loss.num_logits).unsqueeze(0)
    return torch.allclose(loss.probabilities(logits), loss.probabilities(logits + 1), atol=1e-5)
