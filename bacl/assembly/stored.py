"""What a checkpoint says of its own model, which nobody typed: checked before it is built of."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from bacl.assembly.harmless import counts_categories, require_harmless
from bacl.files.plain_values import MISSING, select
from bacl.options.marked import names_of_files, paths_of_model

CALIBRATION = "calibration"
"""What may be chosen for all heads, also of a finished stage."""


def taken(
    config: Any, source: Path, typed: Iterable[str], counts: Mapping[str, Any], num_classes: int
) -> dict[str, Any]:
    """What a checkpoint's configuration says of its model, by path, once all of it may be built.

    Never where files lie (`data`), what makes data, the trainer, the loggers, or what is to be
    done.

    Args:
        config: as it was in the file, which is built as ours are (`check_structure`).
        source: the file, for messages.
        typed: paths of options that the command sets: None stands for what the file says of them.
        counts: configuration that stands for every count of categories.
        num_classes: what every option of that name must be.

    Raises:
        StoredConfigurationError: names file, path in the configuration and reason.
    """
    for path in typed:
        config = _without(config, path.split("."))
    found = {path: select(config, path) for path in paths_of_model()}
    nodes = {path: node for path, node in found.items() if node is not MISSING}
    require_harmless(nodes, source, num_classes)
    return {path: without_files(node, path, counts) for path, node in nodes.items()}


def _without(node: Any, path: Sequence[str]) -> Any:
    if not isinstance(node, dict) or path[0] not in node:
        return node
    return node | {path[0]: None if len(path) == 1 else _without(node[path[0]], path[1:])}


def without_files(node: Any, path: str, counts: Mapping[str, Any]) -> Any:
    """A node without what it reads: weights are left out, counts of categories are `counts`."""
    if isinstance(node, list):
        return [without_files(each, f"{path}[{n}]", counts) for n, each in enumerate(node)]
    if counts_categories(node):
        return dict(counts)
    if not isinstance(node, dict):
        return node
    files = names_of_files(node, path)
    return {
        key: None if key in files else without_files(value, f"{path}.{key}".lstrip("."), counts)
        for key, value in node.items()
    }


def calibrate_alike(described: DictConfig) -> None:
    """Take from heads the calibrations of their own: one was chosen for all of them.

    Args:
        described: configuration of a model; is changed.
    """
    with open_dict(described):
        for stage in described["stages"].values():
            for head in stage["heads"].values():
                head.pop(CALIBRATION, None)
