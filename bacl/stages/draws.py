"""The random draws of a training step."""

import torch

from bacl.processes.distributed import num_processes, process_rank

PURPOSES = 2
SAMPLING, JITTER = range(PURPOSES)
"""What a training step draws at random: anchors and RoIs, jittered boxes (Eq. 10)."""


def seed_draws(seed: int, step: int, purpose: int, device: torch.device) -> None:
    """Let what follows draw by seed, step, process and purpose alone.

    So a resumed run repeats a step's draws, and a head sees the same RoIs whether or not a head
    beside it wants jittered boxes. On a CPU no other device is seeded: for one that is not in use
    torch would write down, at every call, where it was called.
    """
    place = (seed * 1_000_003 + step) * num_processes() + process_rank()
    seed_all = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
    seed_all(place * PURPOSES + purpose)
