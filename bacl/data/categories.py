"""Training and validation must speak of the same categories."""

from pathlib import Path

from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import AnnotationError


def check_categories(train: AnnotationTable, val: AnnotationTable) -> AnnotationTable:
    """The validation table with the training labels and the training groups.

    Its categories may be a subset of the training ones; ids and names must agree.

    Raises:
        AnnotationError: naming the first category of `val` that differs.
    """
    return as_trained(val, train.categories, f"the training file {train.source}")


def as_trained(val: AnnotationTable, trained: CategoryView, source: str | Path) -> AnnotationTable:
    """A table with the labels and groups that a model was trained with.

    Args:
        val: the table.
        trained: the categories, of which `val` may have fewer.
        source: where they are from, for the message.

    Raises:
        AnnotationError: naming the first category of `val` that differs.
    """
    names = dict(zip(trained.ids.tolist(), trained.names, strict=True))
    for identifier, name in zip(val.category_ids.tolist(), val.category_names, strict=True):
        place = f"category {identifier} ({name!r})"
        if identifier not in names:
            problem = f"is not a category of {source}"
            raise AnnotationError(val.source, place, problem)
        if names[identifier] != name:
            problem = f"is {names[identifier]!r} in {source}"
            raise AnnotationError(val.source, place, problem)
    return val.with_categories(trained)
