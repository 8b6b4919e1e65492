"""What a final.ckpt must hold, checked before anything is made of it."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from bacl.files.plain_values import require_small
from bacl.messages.shown import shown, written

PLAIN = (str, int, float, bool, type(None))
LARGEST = 2**63
COUNTS = {"frequency", "image_counts", "instance_counts", "num_images"}
"""Of the training data (`bacl.data.statistics.CategoryStatistics.plain`)."""
OF_THRESHOLDS = {"objective", "global", "per_group", "per_category"}
"""Of each head (`bacl.checkpoints.score_thresholds`); earlier versions wrote none."""
DIMENSIONS = "fractal_dimensions"
"""Of the same; earlier versions wrote none."""
LARGEST_DIMENSION = 10.0
"""Of box counts in a plane: they are about 2 at most."""
FORBIDDEN = "/\\."
"""In the name of a head, which names files and a module."""
MAX_NAME = 100


class StructureError(ValueError):
    """What a checkpoint holds elsewhere than expected, without the path of the file."""


def check_structure(content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is not built as `save_stage` builds one.

    Raises:
        StructureError: names the first part that is not as it must be.
    """
    _check_state("detector", content["detector"])
    _mapping("heads", content["heads"])
    for name, state in content["heads"].items():
        _check_head(name)
        _check_state(f"heads.{name}", state)
    _check_categories(content["categories"])
    if "training" in content:
        _check_counts(content["training"], len(content["categories"]["ids"]))
    if "thresholds" in content:
        _check_thresholds(content["thresholds"], len(content["categories"]["ids"]))
    _check_configuration(content.get("config"))


def _check_state(place: str, state: Any) -> None:
    _mapping(place, state)
    for key, value in state.items():
        extra = key.rpartition(".")[2] == "_extra_state"
        if not (isinstance(value, Tensor) or (extra and isinstance(value, Mapping))):
            _refuse(f"{place}.{key}", value, "a tensor")


def _check_head(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or set(name) & set(FORBIDDEN):
        _refuse("heads", name, f"names without {' '.join(FORBIDDEN)} or control characters")
    if hasattr(nn.ModuleDict, name):
        _refuse("heads", name, "other names")


def _check_categories(categories: Any) -> None:
    _mapping("categories", categories)
    if set(categories) != {"ids", "names"}:
        _refuse("categories", list(categories), "ids and names")
    ids, names = categories["ids"], categories["names"]
    for place, values, kind in (("ids", ids, int), ("names", names, str)):
        if not isinstance(values, list):
            _refuse(f"categories.{place}", values, "a list")
        for number, value in enumerate(values):
            if type(value) is not kind:
                _refuse(f"categories.{place}[{number}]", value, f"of type {kind.__name__}")
    if len(ids) != len(names) or not ids:
        raise StructureError(f"categories: {len(ids)} ids and {len(names)} names")
    if len(set(ids)) != len(ids):
        raise StructureError("categories.ids: not all different")
    if not all(-LARGEST <= each < LARGEST for each in ids):
        raise StructureError("categories.ids: beyond 64 bits")


def _check_counts(training: Any, num_categories: int) -> None:
    _mapping("training", training)
    if set(training) - {DIMENSIONS} != COUNTS:
        _refuse("training", list(training), ", ".join(sorted(COUNTS)))
    if not _is_count(training["num_images"]):
        _refuse("training.num_images", training["num_images"], "a count")
    for name in sorted(set(training) - {"num_images"}):
        values, (expected, fits) = training[name], OF_A_CATEGORY.get(name, ("a count", _is_count))
        if not isinstance(values, list) or len(values) != num_categories:
            _refuse(f"training.{name}", values, f"a list of {num_categories}")
        for number, value in enumerate(values):
            if not fits(value):
                _refuse(f"training.{name}[{number}]", value, expected)


def _check_thresholds(thresholds: Any, num_categories: int) -> None:
    _mapping("thresholds", thresholds)
    for head, own in thresholds.items():
        place = f"thresholds.{head}"
        _mapping(place, own)
        if set(own) != OF_THRESHOLDS:
            _refuse(place, list(own), ", ".join(sorted(OF_THRESHOLDS)))
        if type(own["objective"]) is not str or len(own["objective"]) > MAX_NAME:
            _refuse(f"{place}.objective", own["objective"], "a short text")
        for name in ("per_group", "per_category"):
            if not isinstance(own[name], list) or len(own[name]) != num_categories:
                _refuse(f"{place}.{name}", own[name], f"a list of {num_categories}")
        for value in (own["global"], *own["per_group"], *own["per_category"]):
            if type(value) is not float or not 0 <= value <= 1:
                _refuse(place, value, "thresholds from 0 to 1")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _is_group(value: Any) -> bool:
    return type(value) is str and value in ("r", "c", "f")


def _is_dimension(value: Any) -> bool:
    return type(value) is float and 1 <= value <= LARGEST_DIMENSION


OF_A_CATEGORY: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "frequency": ("r, c or f", _is_group),
    DIMENSIONS: (f"a dimension from 1 to {LARGEST_DIMENSION:g}", _is_dimension),
}
"""What is no count."""


def _check_configuration(config: Any) -> None:
    if config is None or config == {}:
        raise StructureError("it holds no configuration of its model")
    _mapping("config", config)
    for node in ("detector", "stages"):
        _mapping(f"config.{node}", config.get(node))
    for name, stage in config["stages"].items():
        _mapping(f"config.stages.{name}", stage)
        _mapping(f"config.stages.{name}.heads", stage.get("heads"))
    try:
        require_small(config)
    except ValueError as error:
        raise StructureError(f"config: {error}") from None
    _check_plain("config", config)


def _check_plain(place: str, node: Any) -> None:
    """Lists and mappings of plain values; `require_small` holds for them."""
    if isinstance(node, dict):
        _mapping(place, node)
        for key, value in node.items():
            _check_plain(f"{place}.{key}", value)
    elif isinstance(node, list):
        for value in node:
            _check_plain(f"{place}[]", value)
    elif type(node) not in PLAIN or (type(node) is int and abs(node) >= LARGEST):
        _refuse(place, node, "a plain value")


def _mapping(place: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        _refuse(place, value, "a dictionary with names")


def _refuse(place: str, value: Any, expected: str) -> None:
    raise StructureError(f"{shown(place)} is {written(value)}, expected {expected}")
