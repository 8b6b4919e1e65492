"""Why a command cannot be composed, in one line with the options that exist."""

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from bacl.command.meant import meant
from bacl.command.overview import CONF, names
from bacl.messages.errors import in_one_line
from bacl.options.comparison import unknown
from bacl.options.composed import flat


def explanation(overrides: Sequence[str], error: HydraException) -> str:
    """The first override that cannot be composed, with the keys beside it, in one line."""
    suspects = [text for text in overrides if key_of(text) in str(error)]
    accepted = [text for text in overrides if text not in suspects]
    try:
        composed(accepted)
    except HydraException:  # it names none of them: one after the other, then
        accepted = []
        suspects = sorted(overrides, key=lambda text: not text.startswith("+experiment"))
    for text in suspects:
        try:
            composed([*accepted, text])
            accepted.append(text)
        except HydraException as reason:
            return _explain_one(text, accepted, reason)
    return in_one_line(error)


def key_of(override: str) -> str:
    """The option or group that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def require_understood(text: str) -> None:
    """Refuse an override that Hydra's grammar does not take.

    Raises:
        SystemExit: with the mend.
    """
    try:
        OverridesParser.create().parse_override(text)
    except HydraException:
        key, _, value = text.partition("=")
        raise SystemExit(
            f"{text}: not understood; a value with any of =,:()[]{{}}'\" in it needs quotes for "
            f"Hydra within those for the shell: {key}='\"{value}\"'"
        ) from None


def _explain_one(text: str, accepted: Sequence[str], reason: HydraException) -> str:
    require_understood(text)
    config = composed(accepted)
    override = OverridesParser.create().parse_override(text)
    if override.is_sweep_override():
        return f"{text}: one run has one value; with -m there is a run for each of several"
    group = override.key_or_group
    value = override.get_value_element_as_str()
    if (CONF / group).is_dir() and override.value() is not None and value not in names(group):
        return unknown(f"{group}={value}", set(names(group)))
    if line := meant(text, config):
        return line
    if override.is_add() or "Could not override" not in str(reason):
        return f"{text}: {in_one_line(reason)}"
    if (CONF / group).is_dir():
        return _unchosen(text, group, accepted)
    for path in flat(override.value(), group):
        if line := _explain_path(text, path.split("."), config):
            return line
    return f"{text}: {in_one_line(reason)}"


def _unchosen(text: str, group: str, accepted: Sequence[str]) -> str:
    """A line about a choice of a group for a place that is not chosen from it."""
    choices = composed(accepted, with_hydras=True).hydra.runtime.choices
    value = text.partition("=")[2]
    places = [f"{place}={value}" for place in choices if place.partition("@")[0] == group]
    meant_here = f"; did you mean {' or '.join(places)}?" if places else ""
    return f"{text}: nothing here is chosen by this word{meant_here}"


def _explain_path(text: str, keys: Sequence[str], config: DictConfig) -> str:
    """A line about the first key that is not there; nothing where all are."""
    node: Any = config
    depth = 0
    while depth < len(keys) and isinstance(node, DictConfig) and keys[depth] in node:
        node, depth = node[keys[depth]], depth + 1
    if depth == len(keys):
        return ""
    if node is None:
        return _is_null(text, ".".join(keys[:depth]))
    options = set(node) if isinstance(node, DictConfig) else set()
    groups = set() if depth else {path.name for path in CONF.iterdir() if path.is_dir()}
    return unknown(".".join(keys[: depth + 1]), groups | {str(option) for option in options})


def _is_null(text: str, path: str) -> str:
    """A line about an option below one (`path`) that is null, with the choices that set it."""
    setting = re.compile(rf"^{re.escape(path)}:\s*$", re.MULTILINE)
    files = [
        file.relative_to(CONF)
        for file in sorted(CONF.glob("*/*.yaml"))
        if setting.search(file.read_text(encoding="utf-8"))
    ]
    choices = ", ".join(f"{file.parent}={file.stem}" for file in files)
    return f"{text}: {path} is null here{f'; it is set by {choices}' if choices else ''}"


def composed(overrides: Sequence[str], with_hydras: bool = False) -> DictConfig:
    """The configuration of a command.

    Args:
        overrides: of the command.
        with_hydras: with `hydra`, which says what was chosen of which group.

    Raises:
        HydraException: an override cannot be meant.
    """
    GlobalHydra.instance().clear()
    # Under the name that Hydra gives the program, so that it need not compose the same again.
    with initialize_config_dir(str(CONF), job_name="run", version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=with_hydras)
