import pytest
import torch

from bacl.files import state_dicts


@pytest.mark.parametrize("place", [0, 4, 11])
def test_a_number_that_is_none_is_found_wherever_it_is(place, monkeypatch):
    monkeypatch.setattr(state_dicts, "LOOKED_AT", 5)
    value = torch.zeros(3, 4)
    assert state_dicts.not_finite(value) is None
    value.view(-1)[place] = float("nan")
    assert state_dicts.not_finite(value) == "holds NaN or infinity"
    assert state_dicts.not_finite(value.t()) == "holds NaN or infinity"


def test_nothing_is_finite():
    assert state_dicts.not_finite(torch.zeros(0, 4)) is None
    assert state_dicts.not_finite(torch.zeros(())) is None
