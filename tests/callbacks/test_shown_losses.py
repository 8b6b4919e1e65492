import pytest
import torch

from bacl.callbacks.shown_losses import shown_losses
from bacl.loggers.measurements import Quantity


def losses(heads):
    of_detector = {Quantity("train", None, part): 1.0 for part in ("rpn_box", "box")}
    of_heads = {Quantity("train", f"h{i}", "classification"): float(i) for i in range(heads)}
    return {quantity: torch.tensor(value) for quantity, value in (of_detector | of_heads).items()}


def test_few_heads_are_shown_by_their_names():
    assert shown_losses(losses(2)) == {"rpn_box": 1.0, "box": 1.0, "h0": 0.0, "h1": 1.0}
    assert len(shown_losses(losses(6))) == 8


def test_of_many_heads_the_mean_is_shown():
    found = shown_losses(losses(7))
    assert found == {"rpn_box": 1.0, "box": 1.0, "mean of 7 heads": 3.0}


def test_before_the_first_step_there_is_nothing_to_show():
    assert shown_losses({}) == {}


@pytest.mark.parametrize("heads", [1, 40])
def test_values_are_read_at_once(heads, monkeypatch):
    reads, read = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda values: reads.append(1) or read(values))
    monkeypatch.setattr(torch.Tensor, "item", None)
    shown_losses(losses(heads))
    assert len(reads) == 1
