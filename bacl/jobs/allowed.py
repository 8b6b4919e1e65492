"""What a configuration that comes from a file may build: a checkpoint chooses no code to run.

What is typed, and conf/ itself, may name anything; what lies in a file was written by whoever sent
it. A new loss, indicator, part of a detector or transform needs no entry here.
"""

import re
from importlib import import_module
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torchvision.transforms import v2

from bacl.data.transforms import Augmentation
from bacl.evaluation.average_precision import AveragePrecision
from bacl.heads import BoxGenerator
from bacl.indicators.base import LongTermIndicator
from bacl.losses.base import ClassificationLoss
from bacl.stages import DetectionStage, Schedule

OURS: dict[str, type | tuple[type, ...]] = {
    "bacl.losses": ClassificationLoss,
    "bacl.indicators": LongTermIndicator,
    "bacl.heads": (nn.Module, BoxGenerator),
    "bacl.detectors": object,
    "bacl.data": (Augmentation, nn.Module),
    "bacl.evaluation": AveragePrecision,
    "bacl.stages": (DetectionStage, Schedule),
}
"""Packages of the project, with those below them, and the kind of their classes that may be built:
none that reads, writes or fetches a file by itself."""
LIBRARIES: dict[str, type] = {
    "torch.optim": Optimizer,
    "torchvision.transforms.v2": v2.Transform,
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
        and issubclass(found, OURS.get(place) or LIBRARIES[place])
        and f"{found.__module__}.".startswith(f"{place}.")
    )


def _found(module: str, name: str) -> Any:
    try:
        return vars(import_module(module)).get(name)
    except ImportError:  # there is no such module, or what looks like one is a class
        return None
