"""Rows of a layer, of each category, from a trained detector to one of other categories.

C: categories here. G: categories of the trained detector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bacl.checkpoints.category_match import CategoryMatch


def rows_by_category(theirs: Tensor, match: CategoryMatch, otherwise: Tensor) -> Tensor:
    """(C, …) with the row of each category that both have.

    Args:
        theirs: (G, …).
        match: of the categories.
        otherwise: (C, …), the rows of those that the trained detector has not.
    """
    index = torch.tensor([-1 if row is None else row for row in match.rows], dtype=torch.int64)
    known = (index >= 0).view(-1, *[1] * (theirs.dim() - 1))
    taken = theirs[index.clamp(min=0)].to(otherwise.dtype)
    return torch.where(known, taken, otherwise)


def mean_row(theirs: Tensor, sources: Sequence[str | None]) -> Tensor:
    """(…) the mean over the rows (G, …) of categories with a name; of all where none has one.

    Rows without a name have not been trained, such as those of ids that COCO left out.
    """
    named = [row for row, name in enumerate(sources) if name is not None]
    return (theirs[named] if named else theirs).mean(dim=0)


def boxes_by_category(
    theirs: Tensor, own: Tensor, match: CategoryMatch, class_agnostic: bool
) -> Tensor | None:
    """Box regression, weight or bias, of a layer with four rows for each category, or four alone.

    A category that the trained detector has not starts from the mean over its categories: how a box
    is moved depends little on what is in it. Four rows for all are the start of every category, and
    the mean over categories that of four rows for all.

    Args:
        theirs: (4 G, …) or (4, …).
        own: (4 C, …), or (4, …) where it is `class_agnostic`.
        match: of the categories.
        class_agnostic: whether ours has four rows for all categories.

    Returns:
        What `own` becomes; None where the shapes have nothing to do with each other.
    """
    if theirs.dim() != own.dim() or theirs.shape[1:] != own.shape[1:] or len(theirs) < 4:
        return None
    groups = len(match.sources) or len(theirs) // 4
    if len(theirs) not in (4, 4 * groups):
        return None
    deltas = theirs.to(own.dtype).unflatten(0, (-1, 4))
    if len(theirs) == 4:
        return deltas.expand(len(own) // 4, *deltas.shape[1:]).flatten(0, 1).clone()
    mean = mean_row(deltas, match.sources)
    if class_agnostic:
        return mean.clone()
    otherwise = mean.expand(len(own) // 4, *mean.shape)
    return rows_by_category(deltas, match, otherwise).flatten(0, 1)


def masks_by_category(theirs: Tensor, own: Tensor, match: CategoryMatch) -> Tensor | None:
    """The last layer of masks, weight or bias: a new category starts from the mean over theirs.

    Args:
        theirs: (G, …).
        own: (C, …).
        match: of the categories.

    Returns:
        What `own` becomes; None where the shapes have nothing to do with each other.
    """
    if theirs.dim() != own.dim() or theirs.shape[1:] != own.shape[1:] or len(theirs) < 1:
        return None
    if len(theirs) != (len(match.sources) or len(theirs)):
        return None
    otherwise = mean_row(theirs.to(own.dtype), match.sources).expand(own.shape)
    return rows_by_category(theirs, match, otherwise)


def logits_by_category(
    theirs: Tensor, own: Tensor, match: CategoryMatch, relative: bool
) -> Tensor | None:
    """Classifier, weight or bias: rows of categories by name, those behind them by their place.

    Args:
        theirs: (G + b, …).
        own: (C + b, …) as it was drawn, which a new category keeps.
        match: of the categories.
        relative: whether scores depend on differences between logits alone (softmax). Then the mean
            over their categories is added to what a new category keeps: it begins as likely as
            they are on average, instead of far above them where there is none of theirs.

    Returns:
        What `own` becomes; None where the shapes have nothing to do with each other.
    """
    if theirs.dim() != own.dim() or theirs.shape[1:] != own.shape[1:]:
        return None
    behind = len(own) - len(match.names)
    groups = len(match.sources) or len(theirs) - behind
    if groups < 1 or len(theirs) != groups + behind:
        return None
    theirs = theirs.to(own.dtype)
    classes, otherwise = theirs[:groups], own[: len(match.names)]
    if relative:
        otherwise = otherwise + mean_row(classes, match.sources)
    return torch.cat((rows_by_category(classes, match, otherwise), theirs[groups:]))
