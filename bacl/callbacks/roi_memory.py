"""What a step takes for its images, and what for its RoIs."""

from typing import Any

from torch import nn

from bacl.detectors.roi_pooling import RoIPooling
from bacl.speed.device_memory import DeviceMemory


class RoIMemory:
    """Looks at the memory when a step's first RoIs are pooled, and when its losses are there.

    Args:
        stage: that trains; one without such a pooling takes nothing for RoIs.
        memory: of its device, in which a peak has begun with the step.
        base: what was taken then, in bytes.
    """

    def __init__(self, stage: nn.Module, memory: DeviceMemory, base: int) -> None:
        self.of_images, self.of_rois = 0, 0
        """See `StepMemory`."""
        self._memory, self._base = memory, base
        self._before: int | None = None
        poolings = [layer for layer in stage.modules() if isinstance(layer, RoIPooling)]
        self._hooks = [layer.register_forward_pre_hook(self._pooled) for layer in poolings]

    def losses_are_there(self) -> None:
        """Look at what was taken for RoIs, and at no further step."""
        if self._hooks and self._before is not None:
            self.of_rois = max(0, self._memory.taken() - self._before)
        self.close()

    def close(self) -> None:
        """Look no more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _pooled(self, layer: nn.Module, inputs: Any) -> None:
        if self._before is None:
            self._before = self._memory.taken()
            self.of_images = max(0, self._memory.peak() - self._base)
