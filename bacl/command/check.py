"""Options that do not exist or cannot be meant are errors before any work, one line for each."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from bacl.command.known_jobs import JOBS, STARTED_BY_LAUNCHERS
from bacl.command.meant import meant
from bacl.command.overview import CONF, names, overview
from bacl.command.settled import chosen_by_data
from bacl.messages.errors import in_one_line
from bacl.options.comparison import unknown, wrong_options
from bacl.options.composed import flat
from bacl.options.marked import readers

CHECKED = "BACL_CHECKED"
"""Variable that a launcher sets for its jobs: it has composed and checked all of them."""


def check_command(arguments: Sequence[str]) -> bool:
    """Compose the command's configuration, to explain what is wrong with it.

    Returns:
        Whether options are chosen by the data.

    Raises:
        SystemExit: an override does not fit; the text names the nearest options that exist.
    """
    if not arguments:
        raise SystemExit(overview())
    if CHECKED in os.environ or os.environ.get("LOCAL_RANK", "0") != "0":
        return False  # by the launcher, or by the first process of a training on several devices
    overrides = [text for text in arguments if is_override(text)]
    try:
        composed = _compose(overrides)
    except HydraException as error:
        raise SystemExit(explanation(overrides, error)) from None
    runs = not any(text.startswith("-") for text in arguments)  # rather than prints options
    if wrong := wrong_command(composed, overrides, classes=runs):
        raise SystemExit("\n".join(wrong))
    return bool(chosen_by_data(composed))


def is_override(text: str) -> bool:
    """Whether an argument sets or removes an option, rather than being a flag or a flag's value."""
    return text.startswith("~") or ("=" in text and not text.startswith("-"))


def wrong_command(
    config: DictConfig, overrides: Sequence[str] = (), classes: bool = True
) -> list[str]:
    """One line for each option that does not exist, cannot be meant, or does nothing.

    Args:
        config: of a command.
        overrides: what the command says.
        classes: look also into the parts that classes are built from, which imports torch.
    """
    lines = [_with_source(line) for line in wrong_options(config, classes=False)]
    lines = lines or _unknown_choices(config)
    lines = lines or list(_unread(overrides, config.job))
    return lines or (wrong_options(config) if classes else [])


def _with_source(line: str) -> str:
    """A line with the file that refers to an option (`${…}`) which is not there, if it does."""
    referring = re.search(r"=(\$\{[^}]+\}): Interpolation key", line)
    if referring is None:
        return line
    sources = [
        str(file.relative_to(CONF.parent))
        for file in sorted(CONF.rglob("*.yaml"))
        if referring[1] in file.read_text(encoding="utf-8")
    ]
    return f"{line} (in {', '.join(sources)})" if sources else line


def _unknown_choices(config: DictConfig) -> list[str]:
    """Options whose value names a part of the configuration that does not exist."""
    lines = []
    if config.job not in JOBS | STARTED_BY_LAUNCHERS:
        lines.append(unknown(f"job={config.job}", set(JOBS)))
    heads = {head for node in config.stages.values() for head in node.heads}
    named = config.report.reference is not None and config.checkpoint is None  # it has its own
    if named and config.report.reference not in heads:
        lines.append(unknown(f"report.reference={config.report.reference}", heads))
    if config.stage is not None and config.stage not in config.stages:
        lines.append(unknown(f"stage={config.stage}", set(config.stages)))
    if config.trainer.strategy == "auto" and config.trainer.devices not in (1, "1", "auto"):
        lines.append(f"trainer.devices={config.trainer.devices}: several devices need trainer=ddp")
    return lines


def _unread(overrides: Sequence[str], job: str) -> Iterator[str]:
    """Options that the command sets, of which its job takes no notice."""
    for text in overrides:
        jobs = readers(_key(text)) or (job,)
        if job not in (*jobs, "doctor") and not text.endswith("=null"):
            yield f"{text}: job={job} does not read it, only job={'|'.join(jobs)}"


def explanation(overrides: Sequence[str], error: HydraException) -> str:
    """The first override that cannot be composed, with the keys beside it, in one line."""
    suspects = [text for text in overrides if _key(text) in str(error)]
    accepted = [text for text in overrides if text not in suspects]
    try:
        _compose(accepted)
    except HydraException:  # it names none of them: one after the other, then
        accepted = []
        suspects = sorted(overrides, key=lambda text: not text.startswith("+experiment"))
    for text in suspects:
        try:
            _compose([*accepted, text])
            accepted.append(text)
        except HydraException as reason:
            return _explain_one(text, _compose(accepted), reason)
    return in_one_line(error)


def _key(override: str) -> str:
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


def _explain_one(text: str, config: DictConfig, reason: HydraException) -> str:
    require_understood(text)
    override = OverridesParser.create().parse_override(text)
    group = override.key_or_group
    value = override.get_value_element_as_str()
    if (CONF / group).is_dir() and override.value() is not None and value not in names(group):
        return unknown(f"{group}={value}", set(names(group)))
    if line := meant(text, config):
        return line
    if override.is_add() or "Could not override" not in str(reason):
        return f"{text}: {in_one_line(reason)}"
    for path in flat(override.value(), group):
        if line := _explain_path(text, path.split("."), config):
            return line
    return f"{text}: {in_one_line(reason)}"


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


def _compose(overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))
