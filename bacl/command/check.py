"""Options that do not exist or cannot be meant are errors before any work, one line for each."""

import os
import re
from collections.abc import Collection, Iterator, Sequence

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from bacl.command.explained import composed, explanation, key_of
from bacl.command.known_jobs import JOBS, STARTED_BY_LAUNCHERS
from bacl.command.overview import CONF, names, overview
from bacl.command.settled import chosen_by_data
from bacl.options.comparison import unknown, wrong_options
from bacl.options.marked import readers, stands_for

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
        config = composed(overrides)
    except HydraException as error:
        raise SystemExit(explanation(overrides, error)) from None
    runs = not any(text.startswith("-") for text in arguments)  # rather than prints options
    if wrong := wrong_command(config, overrides, classes=runs):
        raise SystemExit("\n".join(wrong))
    chosen = chosen_by_data(config)
    if chosen and runs:
        _tell_given(overrides, set(chosen))
    return bool(chosen)


def _tell_given(overrides: Sequence[str], chosen: Collection[str]) -> None:
    """Say which options the data would choose, if the command did not set them."""
    others = [text for text in overrides if "." not in key_of(text) or "@" in key_of(text)]
    try:
        left_to_data = chosen_by_data(composed(others))
    except HydraException:  # some of them need those that are left out
        return
    for text in overrides:
        if key_of(text) in left_to_data and key_of(text) not in chosen:
            print(f"{text}: as the command says; the data would choose it")


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
    lines = lines or list(_unfollowed(overrides, config))
    lines = lines or (wrong_options(config) if classes else [])
    return [_with_choice(line, overrides) for line in lines]


def _with_choice(line: str, overrides: Sequence[str]) -> str:
    """A line with the word that chooses a part, where the command names a choice as an option."""
    for text in overrides:
        path, _, name = text.lstrip("+").partition("=")
        group = path.rpartition(".")[2]
        if line.startswith(f"{path}={name}: expected options") and name in names(group):
            return f"{line}; to choose it: {group}@{path}={name}"
    return line


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
        jobs = readers(key_of(text)) or (job,)
        if job not in (*jobs, "doctor") and not text.endswith("=null"):
            yield f"{text}: job={job} does not read it, only job={'|'.join(jobs)}"


def _unfollowed(overrides: Sequence[str], config: DictConfig) -> Iterator[str]:
    """Words of the command for options that have another value, of a part that was chosen.

    A longer word of the command wins, as is said where the words are.
    """
    for text in overrides:
        word, option = key_of(text), stands_for(key_of(text))
        wanted, there = (OmegaConf.select(config, each or word) for each in (word, option))
        longer = [key_of(each) for each in overrides if "@" not in each and "." in key_of(each)]
        if there in (None, wanted) or any(f"{option}.".startswith(f"{key}.") for key in longer):
            continue
        node = str(option).rpartition(".")[0]
        choices = [each for each in overrides if key_of(each).endswith(f"@{node}")]
        yield (
            f"{text}: {' '.join(choices) or node} does not follow the word, and has {there}; leave "
            f"one of them out, or set {option}={wanted} and, with it, what else goes by it "
            f"({node}.milestones)"
        )
