"""What trains in a stage: parameters chosen by name patterns; the rest is frozen."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn


def train_only(module: nn.Module, patterns: Sequence[str]) -> None:
    """Let the parameters that match a pattern train and freeze the rest.

    Parameters that the module froze itself (a backbone's first stages) stay frozen.

    Args:
        module: its parameters' `requires_grad` is set.
        patterns: shell patterns of full parameter names, such as `detector.rpn_head.*` or `*`.

    Raises:
        ValueError: a pattern matches no parameter (a misspelt one would silently train nothing).
    """
    names = [name for name, _ in module.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            known = ", ".join(sorted({".".join(name.split(".")[:2]) for name in names}))
            raise ValueError(
                f"trainable: no parameter matches {pattern!r}; parameters begin with: {known}"
            )
    for name, parameter in module.named_parameters():
        matched = any(fnmatchcase(name, pattern) for pattern in patterns)
        parameter.requires_grad_(parameter.requires_grad and matched)


def frozen_modules(module: nn.Module) -> Iterable[nn.Module]:
    """Every submodule that has parameters of which none trains: these stay in eval mode."""
    for child in module.modules():
        parameters = list(child.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            yield child
