"""Options that the data choose become values, once, and are told with their reasons."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bacl.command.known_jobs import TRAINING
from bacl.files.plain_values import read_yaml
from bacl.messages.errors import OptionError, user_error
from bacl.messages.shown import as_typed
from bacl.options.composed import flat, plain

_LOG = logging.getLogger(__name__)

TOLD = {"fit", "data"}
"""Jobs whose log has what was chosen."""
CHOOSES, SAYS_WHY = "${fit:", "${why:"
"""How the value of such an option begins (`hydra_plugins/bacl_fitted.py`), and what its reason is
found by."""
_ABSENT = object()


def chosen_by_data(config: DictConfig) -> dict[str, str]:
    """What options of a configuration that the data choose are to stand for, by their paths.

    Those of all stages come first.
    """
    values = flat(plain(config, resolve=False))
    chosen = {
        path: value
        for path, value in values.items()
        if isinstance(value, str) and value.startswith(CHOOSES)
    }
    return dict(sorted(chosen.items(), key=lambda item: item[0].count(".")))


def settle_command(config: DictConfig, folder: Path) -> None:
    """Settle what the data choose for a command, and log it where that is of interest.

    Args:
        config: of the command; is changed.
        folder: of the run; one that was begun goes on with what was chosen then.

    Raises:
        UserError: an annotation file is bad, or yet to be made, or the run's configuration is
            damaged.
    """
    if not chosen_by_data(config):
        return
    counted = Path(config.data.train.annotations).is_file()
    if config.job in TOLD and not counted:
        _refuse_unmade(config)
    recorded = folder / "config.yaml"
    begun = read_yaml(recorded) if config.job in TRAINING and recorded.is_file() else None
    try:
        lines = settle(config, begun if isinstance(begun, dict) else None)
    except OmegaConfBaseException as error:
        if (mendable := user_error(error)) is not None:
            raise mendable from None
        raise
    for line in lines if config.job in TOLD and counted else ():
        _LOG.info("%s", line)


def _refuse_unmade(config: DictConfig) -> None:
    """Refuse to choose by data that a builder has yet to make: they would choose otherwise later.

    Raises:
        OptionError: with the command that makes them.
    """
    if "builder" in config.data:
        raise OptionError(
            f"{config.data.train.annotations} is yet to be made, and options are chosen by it: "
            f"type the command with job=prepare first"
        )


def settle(config: DictConfig, recorded: Mapping[str, Any] | None = None) -> list[str]:
    """Replace what the data choose by the values, and give a line for each.

    Args:
        config: of a command; is changed.
        recorded: configuration of the run that goes on, whose values are kept.

    Raises:
        UserError: an annotation file is bad.
    """
    wanted = chosen_by_data(config)
    kept = flat(dict(recorded or {}))
    chosen = {path: _plain(OmegaConf.select(config, path)) for path in wanted}
    reasons = {path: _reason(config, path, value) for path, value in wanted.items()}
    lines = []
    for path, value in chosen.items():
        earlier, reason = _of(kept, path), reasons[path]
        if earlier is not _ABSENT and earlier != value:
            value, reason = earlier, "as this run began"
        _put(config, path, value)
        lines.append(f"{path}={_shown(value)}: {reason}")
    return lines


def _reason(config: DictConfig, path: str, value: str) -> str:
    _put(config, path, SAYS_WHY + value.removeprefix(CHOOSES))
    reason = str(OmegaConf.select(config, path))
    _put(config, path, value)
    return reason


def _put(config: DictConfig, path: str, value: Any) -> None:
    with open_dict(config):
        OmegaConf.update(config, path, value, merge=False)


def _of(kept: Mapping[str, Any], path: str) -> Any:
    """A value of a flat configuration; that of a node as a dictionary."""
    if path in kept:
        return kept[path]
    below = {
        key.removeprefix(f"{path}."): value
        for key, value in kept.items()
        if key.startswith(f"{path}.")
    }
    return below or _ABSENT


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return as_typed(value)
