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


FREE, OF_MODEL, NAMES_FILE, TRAINS, SAMPLES = Mark(), Mark(), Mark(), Mark(), Mark()
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
