import numpy as np
import torch

from bacl.processes import own_draws
from bacl.processes.own_draws import OwnDraws

CPU = torch.device("cpu")


class Dice(OwnDraws):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def throw(self) -> list[float]:
        return torch.rand(4, generator=self.next_generator(CPU)).tolist()


def test_draws_follow_seed_calls_and_process(monkeypatch):
    dice, twin, other = Dice(0), Dice(0), Dice(1)
    first, second = dice.throw(), dice.throw()
    assert (twin.throw(), twin.throw()) == (first, second)
    assert len({tuple(first), tuple(second), tuple(other.throw())}) == 3
    monkeypatch.setattr(own_draws, "process_rank", lambda: 1)
    assert Dice(0).throw() != first
    seed = np.random.SeedSequence((0, 0, 1)).generate_state(1, np.uint64)[0]
    expected = torch.rand(4, generator=torch.Generator().manual_seed(int(seed)))
    assert Dice(0).throw() == expected.tolist()


def test_parts_of_a_head_draw_apart():
    dice, other = Dice(0), Dice(0)
    other.stream = (1,)
    assert dice.throw() != other.throw()


def test_what_does_not_count_repeats():
    dice = Dice(0)
    looked = torch.rand(4, generator=dice.generator(CPU)).tolist()
    assert dice.throw() == looked
    assert dice.throw() != looked


def test_a_resumed_module_draws_on_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    dice, resumed = Dice(3), Dice(3)
    dice.throw()
    resumed.load_state_dict(dice.state_dict())
    assert resumed.throw() == dice.throw()
    assert torch.equal(torch.get_rng_state(), before)
