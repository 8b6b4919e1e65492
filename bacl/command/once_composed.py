"""A command's configuration is composed once, however often Hydra is asked for it.

A command is composed to be compared with the options that there are; then Hydra composes it to see
whether it is a multirun, and again to run it. Each takes as long as reading all files of conf/.

Hydra makes its loader itself, and has no place to hand one to it. So a method of that loader, which
`hydra.core.config_loader.ConfigLoader` declares, is replaced for a while. A loader without it, or
whose method has other arguments, is left alone, and composes again.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Signature, signature
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from hydra.types import RunMode
from omegaconf import DictConfig

from bacl.command.overview import CONF

HYDRAS_WORD = "hydra.mode=RUN"
"""What Hydra adds to the words of a command, once it knows that they are no multirun."""
METHOD = "load_configuration"
READ = {"config_name", "overrides", "from_shell"}
"""Its arguments that are looked at."""

Words = tuple[object, ...]
"""What a configuration is composed of: the program, the folders, the file, and the command's words,
which come last."""


@contextmanager
def composed_once() -> Iterator[None]:
    """Within it, of the words of a run what was composed of them before is handed over, as a copy.

    What is not known by the same words, from the same folders, is composed.
    """
    owner = _loader()
    load: Any = getattr(owner, METHOD, None)
    taken = signature(load) if callable(load) else Signature()
    if not set(taken.parameters) >= READ:
        yield
        return
    kept = dict[Words, bytes]()

    @wraps(load)
    def load_once(loader: ConfigLoader, *given: Any, **named: Any) -> DictConfig:
        said = taken.bind(loader, *given, **named)
        said.apply_defaults()
        words = _words(loader, said.arguments)
        if (found := _known(kept, words)) is not None:
            return found
        made: DictConfig = load(loader, *given, **named)
        if not said.arguments["from_shell"]:  # by our own check, before Hydra's turn
            kept[words] = pickle.dumps(made)
        return made

    setattr(owner, METHOD, load_once)
    try:
        yield
    finally:
        setattr(owner, METHOD, load)


def _loader() -> type[ConfigLoader]:
    """The class that Hydra composes with."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return type(GlobalHydra.instance().config_loader())


def _words(loader: ConfigLoader, said: dict[str, Any]) -> Words:
    folders = [(each.provider, each.path) for each in loader.get_search_path().get_path()]
    return (JobRuntime().get("name"), *folders, said["config_name"], *said["overrides"])


def _known(kept: dict[Words, bytes], words: Words) -> DictConfig | None:
    """What was composed of these words, or of all but Hydra's own."""
    if words in kept:
        return pickle.loads(kept[words])
    if words[-1] != HYDRAS_WORD or words[:-1] not in kept:
        return None
    found: DictConfig = pickle.loads(kept[words[:-1]])
    found.hydra.mode = RunMode.RUN
    found.hydra.overrides.hydra.append(HYDRAS_WORD)
    return found
