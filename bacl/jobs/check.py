"""Misspelt options are errors before any work, and the message names the options that exist."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from pkgutil import resolve_name
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from bacl.errors import OptionError, UserError, in_one_line
from bacl.jobs import JOBS, STARTED_BY_LAUNCHERS
from bacl.jobs.overview import CONF, overview
from bacl.jobs.values import of_other_kinds, out_of_range

# Parts of the configuration that name no class, with every option that is read of them.
PLAIN = {
    "report": {"reference", "images", "score_threshold", "save_detections"},
    "predict": {"images", "output", "head", "pictures", "score_threshold"},
    "export": {"format", "output", "head", "image_size", "candidates"},
    "cost": {"size", "rois", "candidates", "images", "warm_up"},
    "data": {"name", "num_classes", "root", "train", "val", "builder"},
    "data.train": {"annotations", "images"},
    "data.val": {"annotations", "images"},
}
SETS_OTHERS = {"defaults", "hydra", "pipeline", "override hydra/job_logging"}
"""Words of config.yaml that are no nodes of the configuration."""
STAGE = {"module", "heads", "schedule", "augment", "init_from"}
CHECKED = "BACL_CHECKED"
"""Variable that a launcher sets for its jobs: it has composed and checked all of them."""
SET = ("max_epochs", "logger", "callbacks", "default_root_dir", "plugins")


def check_command(arguments: Sequence[str]) -> None:
    """Compose the command's configuration, to explain what is wrong with it.

    Raises:
        SystemExit: an override does not fit; the text names the nearest options that exist.
    """
    if not arguments:
        raise SystemExit(overview())
    if CHECKED in os.environ or os.environ.get("LOCAL_RANK", "0") != "0":
        return  # by the launcher, or by the first process of a training on several devices
    overrides = [text for text in arguments if "=" in text and not text.startswith("-")]
    chosen = choices(overrides)
    try:
        composed = _compose(overrides)
    except HydraException as error:
        raise SystemExit(_explain(overrides, error)) from None
    before = composed if chosen == overrides else _compose(chosen)
    wrong = wrong_options(before, composed, top_level())
    if wrong:
        raise SystemExit("\n".join(wrong))


def top_level() -> set[str]:
    """What a configuration may have at its top, from config.yaml alone: composing takes 0.3 s."""
    file = OmegaConf.load(CONF / "config.yaml")
    groups = {group for entry in file.defaults if entry != "_self_" for group in entry}
    return ({str(key) for key in file} | groups | {"stages", "sweep"}) - SETS_OTHERS


def choices(overrides: Sequence[str]) -> list[str]:
    """The overrides that take a file of a group, or leave one out, rather than set an option."""
    groups = [re.split("[@=]", text.lstrip("+~"))[0] for text in overrides]
    return [text for text, group in zip(overrides, groups, strict=True) if (CONF / group).is_dir()]


def wrong_options(chosen: DictConfig, config: DictConfig, top_level: set[str]) -> list[str]:
    """One line for each option that cannot be meant, or that nothing reads.

    Args:
        chosen: the configuration with the command's `choices` alone.
        config: with all that the command sets.
        top_level: what the configuration may have at its top.
    """
    return list(of_other_kinds(chosen, config)) or unknown_options(config, top_level)


def unknown_options(config: DictConfig, top_level: set[str]) -> list[str]:
    """One line for each option of the configuration that nothing reads."""
    expected = {"": top_level} | PLAIN | {f"stages.{name}": STAGE for name in config.stages}
    lines = [
        f"stages.{name}: no such stage of this pipeline ({key} is missing)"
        for name, node in config.stages.items()
        for key in sorted(STAGE - set(node))[:1]
    ]
    lines += _unknown_choices(config)
    for path, known in expected.items():
        node = OmegaConf.select(config, path) if path else config
        lines += [_unknown(f"{path}.{key}".lstrip("."), known) for key in set(node) - known]
    return sorted(lines)


def _unknown_choices(config: DictConfig) -> list[str]:
    """Options whose value names a part of the configuration that does not exist."""
    lines = []
    if config.job not in JOBS | STARTED_BY_LAUNCHERS:
        lines.append(_unknown(f"job={config.job}", set(JOBS)))
    heads = {head for node in config.stages.values() for head in node.get("heads", ())}
    if config.report.reference is not None and config.report.reference not in heads:
        lines.append(_unknown(f"report.reference={config.report.reference}", heads))
    lines += out_of_range(config)
    if config.stage is not None and config.stage not in config.stages:
        lines.append(_unknown(f"stage={config.stage}", set(config.stages)))
    if config.trainer.strategy == "auto" and config.trainer.devices not in (1, "1", "auto"):
        lines.append(f"trainer.devices={config.trainer.devices}: several devices need trainer=ddp")
    return lines


def check_arguments(config: DictConfig) -> None:
    """Compare every node that describes an object with what its class takes.

    Raises:
        UserError: names each option that the class does not take, and those it does.
    """
    lines = list(_unknown_arguments(config, ""))
    lines += [
        f"trainer.{key}: set by the stage, not by the trainer"
        for key in SET
        if key in config.trainer
    ]
    if lines:
        raise UserError("\n".join(lines))


def _unknown_arguments(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, DictConfig):
        return
    keys = {str(key) for key in node}
    if "_target_" in keys:
        parameters = _parameters(find(node["_target_"], path))
        if all(parameter.kind != Parameter.VAR_KEYWORD for parameter in parameters.values()):
            unknown = {key for key in keys - set(parameters) if not key.startswith("_")}
            yield from (_unknown(f"{path}.{key}", set(parameters)) for key in sorted(unknown))
    for key in keys:
        if not OmegaConf.is_missing(node, key):
            yield from _unknown_arguments(node[key], f"{path}.{key}".lstrip("."))


def find(target: Any, path: str) -> Callable[..., Any]:
    """The class or function that the node at `path` of a command's configuration names.

    Raises:
        OptionError: there is none of that name, or it is neither.
    """
    try:
        found = resolve_name(target)
    except Exception as error:  # of any module that a name can import
        raise OptionError(f"{path}._target_={target}: {in_one_line(error)}") from error
    if not callable(found):
        raise OptionError(f"{path}._target_={target}: a {type(found).__name__}, expected a class")
    return found


def _parameters(function: Callable[..., Any]) -> Mapping[str, Parameter]:
    """What a class or function takes; anything, where it does not say."""
    try:
        return signature(function).parameters
    except ValueError:  # it is not written in Python
        return {"": Parameter("options", Parameter.VAR_KEYWORD)}


def _explain(overrides: Sequence[str], error: HydraException) -> str:
    """The first override that cannot be composed, with the keys beside it."""
    accepted: list[str] = []
    for text in sorted(overrides, key=lambda text: not text.startswith("+experiment")):
        try:
            _compose([*accepted, text])
            accepted.append(text)
        except HydraException as reason:
            return _explain_one(text, _compose(accepted), reason)
    return str(error)


def _explain_one(text: str, config: DictConfig, reason: HydraException) -> str:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        key, _, value = text.partition("=")
        return (
            f"{text}: not understood; a value with any of =,:()[]{{}}'\" in it needs quotes for "
            f"Hydra within those for the shell: {key}='\"{value}\"'"
        )
    keys = override.key_or_group.split(".")
    group = (CONF / keys[0]).is_dir() and len(keys) == 1
    if group or override.is_add() or "Could not override" not in str(reason):
        return f"{text}: {reason}"
    node: Any = config
    depth = 0
    while isinstance(node, DictConfig) and keys[depth] in node:
        node, depth = node[keys[depth]], depth + 1
    options = set(node) if isinstance(node, DictConfig) else set()
    return _unknown(".".join(keys[: depth + 1]), {str(option) for option in options})


def _unknown(path: str, known: set[str]) -> str:
    key = path.rpartition(".")[2]
    near = get_close_matches(key.partition("=")[2] or key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{path}: no such option{hint} (known here: {', '.join(sorted(known))})"


def _compose(overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))
