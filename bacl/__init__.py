"""Balanced classification for long-tailed object detection (Qi et al., IEEE TMM 2023).

In Python::

    import bacl

    model = bacl.load("final.ckpt")
    detections = model("photo.jpg", threshold=0.5)
    measures = bacl.evaluate(model, "val.json", "images/val")

Importing this takes no time: PyTorch is imported with the first name that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bacl.inference.judged import evaluate
    from bacl.inference.model import Model, load
    from bacl.inference.picture_detections import Category, PictureDetections
    from bacl.messages.errors import UserError
    from bacl.stages.detection import Variant

__all__ = ["Category", "Model", "PictureDetections", "UserError", "Variant", "evaluate", "load"]

_HOMES = {
    "Category": "bacl.inference.picture_detections",
    "Model": "bacl.inference.model",
    "PictureDetections": "bacl.inference.picture_detections",
    "UserError": "bacl.messages.errors",
    "Variant": "bacl.stages.detection",
    "evaluate": "bacl.inference.judged",
    "load": "bacl.inference.model",
}


def __getattr__(name: str) -> Any:
    """What the package offers, imported when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names to complete."""
    return sorted({*globals(), *__all__})
