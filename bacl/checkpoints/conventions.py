"""What the tensors of a trained detector mean, which no tensor says: anchors, units, pooling.

Those of another detector fit by name and shape, and are wrong: offsets from anchors of 4 strides
are none from anchors of 8.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.files.plain_values import MISSING, select
from bacl.messages.shown import as_typed, shown

READ_WITH = {
    "rpn.anchors": "rpn.head.",
    "rpn.coder": "rpn.head.",
    "pooling": "box_head.",
    "box_regression.coder": "box_regression.",
    "mask.pooling": "mask.head.convs.",
}
"""Parts of a detector's options, and how the names of the tensors begin that depend on them."""
LATER = "later_levels"
"""Of a cascade: each has stds of its own."""


def stored_detector(path: Path) -> Mapping[str, Any]:
    """The options of the detector in a finished checkpoint of ours; none of any other file.

    What is wrong with a file is told by those who load it.
    """
    if not path.is_file():
        return {}
    state = path.stat()
    return _stored(path.absolute(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _stored(path: Path, changed: int, size: int) -> Mapping[str, Any]:
    """Once for each content of a file."""
    try:
        return detector_options(load_stage(path))
    except CheckpointError:
        return {}


def detector_options(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of a finished checkpoint; none where it does not say."""
    options = select(content.get("config"), "detector")
    return options if isinstance(options, dict) else {}


def require_conventions(
    said: str,
    own: Mapping[str, Any],
    theirs: Mapping[str, Any],
    taken: Callable[[str], bool] = lambda tensors: True,
) -> None:
    """Refuse tensors that fit, but were trained with other anchors, units or pooling.

    Args:
        said: what names the trained detector, and what it is, for the message.
        own: see `other_conventions`.
        theirs: see `other_conventions`.
        taken: see `other_conventions`.

    Raises:
        CheckpointError: names the options, and those to take.
    """
    if differ := other_conventions(own, theirs, taken):
        ours = ", ".join(f"detector.{key}={as_typed(own)}" for key, (_, own) in differ.items())
        mend = " ".join(f"detector.{shown(k)}={as_typed(v)}" for k, (v, _) in differ.items())
        raise CheckpointError(
            f"{said} which was trained with other options, by which its boxes mean something else "
            f"(here {shown(ours, 300)}); take its own: {mend}"
        )


def other_conventions(
    own: Mapping[str, Any], theirs: Mapping[str, Any], taken: Callable[[str], bool]
) -> dict[str, tuple[Any, Any]]:
    """Options by which tensors that are taken would mean something else: theirs, and ours.

    An option that is left out has its default.

    Args:
        own: options of the detector that starts, plain values.
        theirs: of the trained one; empty where nobody knows them.
        taken: whether the tensors whose names begin so are taken.
    """
    levels = [*(own.get(LATER) or ())]
    parts = READ_WITH | {f"{LATER}.{name}.stds": f"box_regression.{name}." for name in levels}
    return {
        key: values
        for part, tensors in parts.items()
        if taken(tensors)
        for key, values in _differing(part, select(own, part), select(theirs, part))
    }


def _differing(at: str, own: Any, theirs: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if own is MISSING or theirs is MISSING or own == theirs:
        return
    if not (isinstance(own, dict) and isinstance(theirs, dict)):
        yield at, (theirs, own)
        return
    target = own.get("_target_")
    defaults = _defaults(target) if target == theirs.get("_target_") else {}
    for key in sorted(own | theirs):
        before, now = (each.get(key, defaults.get(key, MISSING)) for each in (theirs, own))
        if before is not MISSING and before != now:
            yield f"{at}.{key}", (before, None if now is MISSING else now)


def _defaults(target: Any) -> dict[str, Any]:
    """Of the options of a class that the command names."""
    signature = inspect.signature(resolve_name(str(target)))
    empty = inspect.Parameter.empty
    return {
        key: each.default for key, each in signature.parameters.items() if each.default != empty
    }
