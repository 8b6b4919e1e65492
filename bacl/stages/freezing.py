"""What trains in a stage: parameters chosen by name patterns; the rest is frozen."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from bacl.messages.errors import OptionError


def train_only(module: nn.Module, patterns: Sequence[str]) -> None:
    """Let the parameters that match a pattern train and freeze the rest.

    Parameters that the module froze itself (a backbone's first stages) stay frozen.

    Args:
        module: its parameters' `requires_grad` is set.
        patterns: shell patterns of full parameter names, such as `detector.rpn.*` or `*`; those
            that begin with `!` take away from what the others chose, in any order.

    Raises:
        OptionError: a pattern matches no parameter (a misspelt one would silently train nothing).
    """
    names = [name for name, _ in module.named_parameters()]
    without = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    chosen = [pattern for pattern in patterns if not pattern.startswith("!")]
    for pattern in (*chosen, *without):
        if not _matches(names, pattern):
            known = ", ".join(sorted({".".join(name.split(".")[:2]) for name in names}))
            raise OptionError(
                f"trainable: no parameter matches {pattern!r}; parameters begin with: {known}"
            )
    trained = {name for pattern in chosen for name in _matches(names, pattern)}
    trained -= {name for pattern in without for name in _matches(names, pattern)}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name in trained)


def frozen_modules(module: nn.Module) -> Iterable[nn.Module]:
    """Every submodule that has parameters of which none trains: these stay in eval mode."""
    for child in module.modules():
        parameters = list(child.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            yield child


def any_trains(*modules: nn.Module) -> bool:
    """Whether a parameter of the modules trains."""
    return any(parameter.requires_grad for module in modules for parameter in module.parameters())


def _matches(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]
