"""Composed configurations as plain values, and what differs between two of them."""

import re
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bacl.options.marked import is_free

CALL = re.compile(r"\$\{[a-z_]+(\.[a-z_]+)*:")
"""How a value begins that a resolver gives."""


def plain(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """The configuration as plain dictionaries and lists, with or without what options refer to."""
    return OmegaConf.to_container(config, resolve=resolve)  # type: ignore[return-value]


def plain_with_heads(config: DictConfig, stage: str, heads: Collection[str]) -> dict[str, Any]:
    """As `plain`, for a file that holds these heads of a stage: others were dropped on the way."""
    said = plain(config)
    of_stage = said["stages"][stage]
    of_stage["heads"] = {name: each for name, each in of_stage["heads"].items() if name in heads}
    return said


def without_calls(config: DictConfig) -> dict[str, Any]:
    """As `plain` without resolving: what options refer to stays, what resolvers give is its value.

    So it can be written, and read where no resolver is.
    """
    return _without_calls(config, plain(config, resolve=False))


def _without_calls(node: DictConfig, values: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        called = isinstance(value, str) and CALL.match(value) is not None
        if called or (isinstance(value, dict) and node[key] is not None):
            each = node[key]
            inside = isinstance(value, dict) and isinstance(each, DictConfig)
            found[key] = _without_calls(each, value) if inside else _value(each)
        else:
            found[key] = value
    return found


def _value(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def last_stage(config: DictConfig) -> str:
    """The stage whose heads a run reports: the one that `stage` names, or the pipeline's last."""
    return config.stage or list(config.stages)[-1]


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted path; lists are values.

    >>> flat({"head": {"loss": {"alpha": 0.85}}})
    {'head.loss.alpha': 0.85}
    """
    if not isinstance(config, dict):
        return {prefix: config}
    parts = (
        flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in config.items()
    )
    return {key: value for part in parts for key, value in part.items()}


def fixed(config: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted path of the options that a run must be resumed with."""
    return {key: value for key, value in flat(config).items() if not is_free(key)}


def changes(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One text, `option: before -> after`, for each option that differs and is not free."""
    before, after = fixed(earlier), fixed(now)
    return [
        f"{key}: {before.get(key, '(absent)')} -> {after.get(key, '(absent)')}"
        for key in sorted(before | after)
        if before.get(key) != after.get(key)
    ]
