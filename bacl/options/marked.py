"""What the marks of options say (`bacl.options.marks`): which are free, of a model, or files.

A class is imported for its marks where a section says that it has some, and an option within it is
asked for.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, is_typeddict

from bacl.options.libraries import LIBRARIES
from bacl.options.marks import (
    FREE,
    IN_COMMON,
    NAMES_FILE,
    OF_JOB,
    OF_MODEL,
    SAMPLES,
    TRAINS,
    Mark,
    ReadBy,
    WordFor,
    bare,
    marks_of,
)
from bacl.options.parts import element_of, part_of
from bacl.options.sections import Configuration
from bacl.options.signatures import options_of, options_of_section


def options_with(mark: Mark, section: Any = Configuration) -> tuple[str, ...]:
    """The options of a section that are marked so, in order.

    >>> from bacl.options.marks import IN_COMMON
    >>> options_with(IN_COMMON)
    ('stage', 'seed', 'job', 'cache', 'thresholds')
    """
    hints = options_of_section(section).items()
    return tuple(name for name, hint in hints if mark in marks_of(hint))


def node_with(mark: Mark, path: str) -> str:
    """Path of the node that is marked so: an option's own, or one that it lies in; or nothing.

    >>> from bacl.options.marks import AFTER_TRAINING
    >>> node_with(AFTER_TRAINING, "calibration.tau"), node_with(AFTER_TRAINING, "seed")
    ('calibration', '')
    """
    keys = path.split(".")
    ends = (end for end, hint in enumerate(_hints(path), start=1) if mark in marks_of(hint))
    return ".".join(keys[: next(ends, 0)])


@cache
def is_free(path: str) -> bool:
    """Whether a run may go on with another value of an option, or of the nodes that it lies in.

    >>> is_free("seed"), is_free("data.train.images"), is_free("head.loss.alpha")
    (True, True, False)
    """
    return bool(node_with(FREE, path))


def is_shared(option: str) -> bool:
    """Whether jobs that train together have the same value of an option of the configuration.

    >>> is_shared("metric"), is_shared("seed"), is_shared("logger"), is_shared("head")
    (True, True, False, False)
    """
    marks = marks_of(options_of_section(Configuration)[option])
    return IN_COMMON in marks or not {FREE, OF_JOB} & set(marks)


def is_of_training(path: str, gathers: bool) -> bool:
    """Whether nothing that is done with a finished stage goes by an option.

    Args:
        path: of the option.
        gathers: whether a calibration is yet to observe training images.

    >>> is_of_training("stages.x.schedule.epochs", True), is_of_training("sampler", True)
    (True, False)
    """
    return bool(node_with(TRAINS, path) or (node_with(SAMPLES, path) and not gathers))


@cache
def paths_of_model() -> tuple[str, ...]:
    """Paths of what a checkpoint says of its model; where files lie is never among them."""
    return tuple(_paths_of_model(Configuration, ""))


def readers(path: str) -> tuple[str, ...] | None:
    """The jobs that an option does something for; None stands for all."""
    marks = [mark for hint in _hints(path.partition(".")[0]) for mark in marks_of(hint)]
    return next((mark.jobs for mark in marks if isinstance(mark, ReadBy)), None)


def stands_for(path: str) -> str | None:
    """The option that a word is for; None for what is no such word.

    >>> stands_for("epochs"), stands_for("seed")
    ('stages.representation.schedule.epochs', None)
    """
    marks = [mark for hint in _hints(path) for mark in marks_of(hint)]
    return next((mark.option for mark in marks if isinstance(mark, WordFor)), None)


def names_of_files(node: Mapping[str, Any], path: str) -> set[str]:
    """The options of a node that name files to read.

    Args:
        node: what its `_target_` names, if it has one, is imported.
        path: of the node.
    """
    target = node.get("_target_")
    options = _options(([None, *_hints(path)])[-1]) if target is None else options_of(target)
    return {name for name, hint in options.items() if NAMES_FILE in marks_of(hint)}


def _paths_of_model(hint: Any, path: str) -> Iterator[str]:
    for name, inner in _options(hint).items():
        at = f"{path}.{name}" if path else name
        if OF_MODEL in marks_of(inner):
            yield at
        else:
            yield from _paths_of_model(inner, at)


def hint_of(path: str) -> Any:
    """Type of an option with its marks, of the whole for no path; None for what no section knows.

    >>> hint_of("masks").__origin__, hint_of("datamodule.maskss")
    (<class 'bool'>, None)
    """
    return ([Configuration, *_hints(path)] if path else [Configuration])[-1]


def _hints(path: str) -> Iterator[Any]:
    """Types of the nodes down to an option, and its own; None for what no section knows."""
    hint: Any = Configuration
    for name in path.split("."):
        element = element_of(bare(hint), Mapping)
        hint = _options(hint).get(name) if element is None else element
        yield hint


def _options(hint: Any) -> Mapping[str, Any]:
    """Types of the options of a node, by their names."""
    hint = bare(hint)
    if is_typeddict(hint):
        return options_of_section(hint)
    part = part_of(hint)
    options: dict[str, Any] = {}
    for name in part.marked if part else ():
        library = LIBRARIES.get(name)
        options |= options_of_section(library) if library else options_of(name)
    return options
