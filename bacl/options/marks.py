"""What is said of an option beside its type and range, in the same place.

`Free[Count]`, in a signature or in a section, is a `Count` that a run may go on with another value
of. What follows from all marks is in `bacl.options.marked`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin

T = TypeVar("T")


class Mark:
    """Something that is said of an option."""


@dataclass(frozen=True)
class ReadBy(Mark):
    """That no other job takes any notice of the option."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class SaidBy(Mark):
    """That all options of this kind have the value of one, which is to be set instead of them."""

    option: str


@dataclass(frozen=True)
class WordFor(Mark):
    """That the option is a word for another one; a chosen part may have its own value of that."""

    option: str


FREE, OF_MODEL, NAMES_FILE, TRAINS, SAMPLES = Mark(), Mark(), Mark(), Mark(), Mark()
AFTER_TRAINING, OF_JOB, IN_COMMON, HARDWARE = Mark(), Mark(), Mark(), Mark()
NAMES_NO_FOLDER, DESCRIBES_ALL = Mark(), Mark()
Free = Annotated[T, FREE]
"""Changes neither what is learned nor how it is judged: a run may go on with another value."""
OfModel = Annotated[T, OF_MODEL]
"""Describes the trained model and how it was evaluated: a checkpoint says it."""
NamesFile = Annotated[T, NAMES_FILE]
"""Names a file that is read: no checkpoint's value of it is used."""

Trains = Annotated[T, TRAINS]
"""Says how a stage trains: nothing that is done with a finished one goes by it."""
Samples = Annotated[T, SAMPLES]
"""Says what a stage trains on: of a finished one only what a calibration gathers goes by it."""
AfterTraining = Annotated[T, AFTER_TRAINING]
"""Can be exchanged once all is trained: many values of it are judged in one pass."""
OfJob = Annotated[T, OF_JOB]
"""Of each of the jobs that train together: their plan holds what each has."""
InCommon = Annotated[T, IN_COMMON]
"""Though a run may go on with another value, jobs that train together have the same."""
Hardware = Annotated[T, HARDWARE]
"""Says on what a training computes, and how exactly; not every machine has all of it."""
NamesNoFolder = Annotated[T, NAMES_NO_FOLDER]
"""Its choice among the files of its group is no part of the name of a run's folder."""
DescribesAll = Annotated[T, DESCRIBES_ALL]
"""A choice among the files of its group describes the model as a whole."""


def marks_of(hint: Any) -> tuple[Mark, ...]:
    """The marks of an option with this type."""
    said = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return tuple(each for each in said if isinstance(each, Mark))


def bare(hint: Any) -> Any:
    """A type without its marks.

    >>> bare(Free[int])
    <class 'int'>
    """
    if get_origin(hint) is not Annotated:
        return hint
    kind, *said = get_args(hint)
    ranges = tuple(each for each in said if not isinstance(each, Mark))
    return Annotated[(kind, *ranges)] if ranges else kind
