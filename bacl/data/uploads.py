"""What the host knows on its way to the device that computes."""

import torch
from torch import Tensor


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on `device`, which is not waited for.

    A GPU fetches it from page-locked memory when its turn has come; from other memory the host
    would wait until the GPU has done all that it was asked for before.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
