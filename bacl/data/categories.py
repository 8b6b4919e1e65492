"""Training and validation must speak of the same categories."""

from bacl.data.table import AnnotationTable
from bacl.data.validation import AnnotationError


def check_categories(train: AnnotationTable, val: AnnotationTable) -> AnnotationTable:
    """The validation table with the training labels and the training groups.

    Its categories may be a subset of the training ones; ids and names must agree.

    Raises:
        AnnotationError: naming the first category of `val` that differs.
    """
    names = dict(zip(train.category_ids.tolist(), train.category_names, strict=True))
    for identifier, name in zip(val.category_ids.tolist(), val.category_names, strict=True):
        place = f"category {identifier} ({name!r})"
        if identifier not in names:
            problem = f"is not a category of the training file {train.source}"
            raise AnnotationError(val.source, place, problem)
        if names[identifier] != name:
            problem = f"is {names[identifier]!r} in the training file {train.source}"
            raise AnnotationError(val.source, place, problem)
    return val.with_categories(train)
