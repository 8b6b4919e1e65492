"""What a configuration that comes from a file may build: a checkpoint chooses no code to run.

What is typed, and conf/ itself, may name anything; what lies in a file was written by whoever sent
it. A new loss, indicator, part of a detector or transform needs no entry here.
"""

import re
from functools import cache
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

OURS = {
    "bacl.losses": ("bacl.losses.base.ClassificationLoss",),
    "bacl.indicators": ("bacl.indicators.base.LongTermIndicator",),
    "bacl.heads": ("torch.nn.Module", "bacl.heads.BoxGenerator"),
    "bacl.detectors": ("builtins.object",),
    "bacl.data": (
        *("bacl.data.augmentation.transforms.Augmentation", "torch.nn.Module"),
        "bacl.data.samplers.RandomBatches",
    ),
    "bacl.evaluation": ("bacl.evaluation.average_precision.AveragePrecision",),
    "bacl.stages": ("bacl.stages.DetectionStage", "bacl.stages.WarmUpSchedule"),
}
"""Packages of the project, with those below them, and the kind of their classes that may be built:
none that reads, writes or fetches a file by itself. By name, as torch is imported with them."""
LIBRARIES = {
    "torch.optim": ("torch.optim.Optimizer",),
    "torchvision.transforms.v2": ("torchvision.transforms.v2.Transform",),
}
"""The same of other packages, without those below them."""
FUNCTIONS = {"bacl.heads.hallucination.no_hallucination"}
_NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)


def may_be_built(target: object) -> bool:
    """Whether a `_target_` of a file is a class that is meant to be configured.

    Nothing but modules of the packages above is imported to find out.

    >>> may_be_built("bacl.losses.fcbl.FCBL"), may_be_built("os.system")
    (True, False)
    """
    if not isinstance(target, str) or not _NAME.fullmatch(target):
        return False
    if target in FUNCTIONS:
        return True
    module, _, name = target.rpartition(".")
    ours = [place for place in OURS if f"{module}.".startswith(f"{place}.")]
    if not ours and module not in LIBRARIES:
        return False
    place = ours[0] if ours else module
    found = _found(module, name)
    # Its own class: what else a module has imported can be reached through it, too.
    return (
        isinstance(found, type)
        and issubclass(found, _kinds(OURS.get(place) or LIBRARIES[place]))
        and f"{found.__module__}.".startswith(f"{place}.")
    )


@cache
def _kinds(names: tuple[str, ...]) -> tuple[type, ...]:
    return tuple(map(resolve_name, names))


def _found(module: str, name: str) -> Any:
    try:
        return vars(import_module(module)).get(name)
    except ImportError:  # there is no such module, or what looks like one is a class
        return None
