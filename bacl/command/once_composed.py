"""A command's configuration is composed once, however often Hydra is asked for it.

A command is composed to be compared with the options that there are; then Hydra composes it to see
whether it is a multirun, and again to run it. Each takes as long as reading all files of conf/.
"""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.utils import JobRuntime
from hydra.types import RunMode
from omegaconf import DictConfig

HYDRAS_WORD = "hydra.mode=RUN"
"""What Hydra adds to the words of a command, once it knows that they are no multirun."""


@contextmanager
def composed_once() -> Iterator[None]:
    """Within it, of the words of a run what was composed of them before is handed over, as a copy.

    What is not known by the same words, from the same folders, is composed.
    """
    load, kept = ConfigLoaderImpl.load_configuration, dict[object, bytes]()

    def load_once(
        loader: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        own = [text for text in overrides if text != HYDRAS_WORD]
        folders = [(each.provider, each.path) for each in loader.get_search_path().get_path()]
        key = (JobRuntime().get("name"), *folders, config_name, *own)
        if key in kept:
            return _with_hydras_word(pickle.loads(kept[key]), len(overrides) > len(own))
        found = load(loader, config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        if not from_shell:  # by our own check, before Hydra's turn
            kept[key] = pickle.dumps(found)
        return found

    ConfigLoaderImpl.load_configuration = load_once  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def _with_hydras_word(config: DictConfig, said: bool) -> DictConfig:
    if said:
        config.hydra.mode = RunMode.RUN
        config.hydra.overrides.hydra.append(HYDRAS_WORD)
    return config
