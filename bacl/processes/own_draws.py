"""Random draws of one module: of its own, different on every process, and repeated when resumed."""

import numpy as np
import torch
from torch import nn

from bacl.processes.distributed import process_rank


class OwnDraws(nn.Module):
    """A module with random generators of its own, seeded anew for every call.

    Seed, number of calls and process decide what is drawn: torch's global generators are neither
    used nor moved, processes draw differently, and a run that is resumed from a checkpoint, which
    one process wrote, draws on. It stands before the other bases of a class, whose constructor sets
    `seed`.
    """

    seed: int
    """Non-negative."""
    calls = 0
    """Generators that were handed out, the whole state."""
    stream: tuple[int, ...] = ()
    """Sets apart the draws of parts of one head, which have one seed."""

    def next_generator(self, device: torch.device) -> torch.Generator:
        """The generator of the next call, which counts."""
        generator = self.generator(device)
        self.calls += 1
        return generator

    def generator(self, device: torch.device) -> torch.Generator:
        """The same, which does not count: until one does, every one draws the same."""
        entropy = np.random.SeedSequence((self.seed, self.calls, process_rank(), *self.stream))
        generator = torch.Generator(device=device)
        return generator.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))

    def get_extra_state(self) -> dict[str, int]:
        """The number of calls."""
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Continue the draws of a checkpoint."""
        self.calls = state["calls"]
