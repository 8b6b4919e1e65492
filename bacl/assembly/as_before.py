"""What options that came later would have been for a run that began without them: as by default."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.files.plain_values import MISSING, select
from bacl.options.composed import CALL, flat, plain

ROOT = "config"
EXPERIMENTS = "experiment/"
"""Whose files may ask for what is new; what is new is off, or as before, in all others."""


def as_before(later: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Values of options for a run that began before there were any such, by path.

    An option has the value of the configuration without the words of the command that set it, and
    without what an experiment makes of it: an experiment may have come to ask for what is new.

    Args:
        later: today's values, as `bacl.options.later.Versions` has them.
        overrides: of the command.

    Returns:
        The same paths; `MISSING` where the command makes room for an option that is not there
        without it.
    """
    if not GlobalHydra.instance().is_initialized():
        return dict(later)  # composed by other code, with no words to leave out
    return dict(later) | _without_words(later, overrides) | _without_experiment(later, overrides)


def _without_words(later: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    names = {path.rpartition(".")[2] for path in later}
    parser = OverridesParser.create()
    said = {text: _names_said(parser.parse_override(text)) for text in overrides}
    others = [text for text, keys in said.items() if not keys & names]
    if len(others) == len(overrides):
        return {}
    given = compose(ROOT, overrides=list(overrides))
    try:
        without = compose(ROOT, overrides=others)
    except HydraException:  # other words stand on them
        return dict.fromkeys(later, MISSING)
    values = {path: (_value(given, path), _value(without, path)) for path in later}
    return {path: before for path, (now, before) in values.items() if before != now}


def _names_said(override: Override) -> set[str]:
    """Last parts of all paths that an override sets."""
    key = override.key_or_group.replace("/", ".") if override.package is None else override.package
    paths = {key, *flat(override.value(), key)}
    return {part for path in paths for part in path.removeprefix(f"{key}.").split(".")[-1:]}


def _without_experiment(later: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """What the files before an experiment say of the options that it sets."""
    loader = GlobalHydra.instance().config_loader()
    chosen = loader.compute_defaults_list(ROOT, list(overrides), RunMode.RUN).defaults
    said: dict[str, Any] = {}
    asked: set[str] = set()
    for each in chosen:
        content = _content(loader.get_sources(), each.config_path, each.package or "")
        own = {path for path in later if select(content, path) is not MISSING}
        if each.config_path.startswith(EXPERIMENTS):
            asked |= own
        else:
            said |= {path: select(content, path) for path in own}
    return {path: said[path] for path in asked & set(said) if not _refers(said[path])}


def _content(sources: Sequence[Any], file: str, package: str) -> dict[str, Any]:
    """What a file of conf/ says, at its place in the configuration."""
    source = next((each for each in sources if each.is_config(file)), None)
    content = {} if source is None else plain(source.load_config(file).config, resolve=False)
    for part in reversed(package.split(".") if package else []):
        content = {part: content}
    return content


def _refers(value: Any) -> bool:
    texts = [each for each in flat(value).values() if isinstance(each, str)]
    return any("${" in text or CALL.match(text) for text in texts)


def _value(config: DictConfig, path: str) -> Any:
    found = OmegaConf.select(config, path, default=MISSING)
    return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
