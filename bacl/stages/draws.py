"""The random draws of a training step."""

import torch

from bacl.processes.distributed import num_processes, process_rank

PURPOSES = 2
SAMPLING, JITTER = range(PURPOSES)
"""What a training step draws at random: anchors and RoIs, jittered boxes (Eq. 10)."""


def seed_draws(seed: int, step: int, purpose: int) -> None:
    """Let what follows draw by seed, step, process and purpose alone.

    So a resumed run repeats a step's draws, and a head sees the same RoIs whether or not a head
    beside it wants jittered boxes.
    """
    place = (seed * 1_000_003 + step) * num_processes() + process_rank()
    torch.manual_seed(place * PURPOSES + purpose)
