"""Categories that are never learnt, never judged, or no categories at all."""

from collections.abc import Iterator

import numpy as np

from bacl.data.annotations.table_build import frequency_groups
from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit

ROOT = Fault(
    "unused_root",
    Severity.WARNING,
    "categories have the id 0 and no annotation: some exports list a name for all others so",
    "the classifier has an output more, which is never right",
    "remove the record from `categories` of both files, if it is no category",
)
UNUSED = Fault(
    "unused_categories",
    Severity.WARNING,
    "categories have no annotation in either file",
    "they are never learnt and never judged",
    "remove the records from `categories` of both files, or annotate some",
)
NOT_IN_TRAINING = Fault(
    "not_in_training",
    Severity.WARNING,
    "categories are annotated in the validation alone",
    "they are never learnt, and their AP of 0 lowers the mean",
    "move some of their pictures to the training",
)
LOST = Fault(
    "lost_categories",
    Severity.WARNING,
    "categories have training annotations, but none that is trained on",
    "they are never learnt",
    "see what is left out, and why",
)
NEVER_JUDGED = Fault(
    "never_judged",
    Severity.NOTE,
    "categories are trained, but have no object in the validation",
    "nothing is measured of them",
    "move some of their pictures to the validation",
)
NOTHING_JUDGED = Fault(
    "nothing_judged",
    Severity.ERROR,
    "categories have no object in the validation: it has none at all",
    "every measure of the training is empty, and nothing can be chosen by it",
    "give `data.val` images with annotations",
)
OTHER_GROUPS = Fault(
    "other_groups",
    Severity.NOTE,
    "categories have another `frequency` in the training file than their training images give",
    "tables and figures follow the file",
    "remove `frequency` from the file, if it is of other data",
)


def coverage(data: Inspected) -> Iterator[Finding]:
    """Findings of categories by name."""
    table = data.train.table
    learnt, judged = (_counts(split, split.objects) > 0 for split in data.splits)
    in_train, in_val = (_counts(split, slice(None)) > 0 for split in data.splits)
    unused = ~in_train & ~in_val
    yield from _finding(data, ROOT, unused & (table.category_ids == 0))
    yield from _finding(data, UNUSED, unused & (table.category_ids != 0))
    yield from _finding(data, NOT_IN_TRAINING, ~in_train & in_val)
    yield from _finding(data, LOST, in_train & ~learnt)
    unjudged = NEVER_JUDGED if judged.any() else NOTHING_JUDGED
    yield from _finding(data, unjudged, learnt & ~judged)
    groups = frequency_groups(np.asarray(table.image_counts))
    yield from _finding(data, OTHER_GROUPS, groups != table.frequency)


def _counts(split: InspectedSplit, rows: np.ndarray | slice) -> np.ndarray:
    """(C,) annotations of each category among some rows."""
    return np.bincount(split.table.labels[rows], minlength=split.table.num_categories)


def _finding(data: Inspected, fault: Fault, which: np.ndarray) -> Iterator[Finding]:
    table = data.train.table
    if which.any():
        names = [table.category_names[label] for label in np.flatnonzero(which).tolist()]
        total = table.num_categories
        yield Finding(fault=fault, split="both", count=len(names), total=total, names=names)
