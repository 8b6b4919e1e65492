"""The configuration of another command than the one that runs, such as one that is advised."""

from collections.abc import Sequence

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from bacl.assembly.data import open_categories
from bacl.messages.errors import OptionError, in_one_line


def advised(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """What a command of these overrides would be run with, completed by what the data decide.

    Args:
        config: of the running command; it is taken where no command runs, but a program that has
            composed it.
        overrides: of the other command.

    Raises:
        OptionError: they cannot be meant together.
    """
    if not GlobalHydra.instance().is_initialized():
        return config
    try:
        other = compose("config", overrides=list(overrides))
    except HydraException as error:
        raise OptionError(f"the command with the preset: {in_one_line(error)}") from error
    open_categories(other)
    return other
