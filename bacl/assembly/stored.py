"""What a checkpoint says of its own model, which nobody typed: checked before it is built of."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from bacl.assembly.harmless import harmless
from bacl.files.plain_values import MISSING, select
from bacl.options.marked import paths_of_model

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
    return harmless(nodes, source, counts, num_classes)


def _without(node: Any, path: Sequence[str]) -> Any:
    if not isinstance(node, dict) or path[0] not in node:
        return node
    return node | {path[0]: None if len(path) == 1 else _without(node[path[0]], path[1:])}


def calibrate_alike(described: DictConfig) -> None:
    """Take from heads the calibrations of their own: one was chosen for all of them.

    Args:
        described: configuration of a model; is changed.
    """
    with open_dict(described):
        for stage in described["stages"].values():
            for head in stage["heads"].values():
                head.pop(CALIBRATION, None)
