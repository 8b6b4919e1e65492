import numpy as np
import pytest
import torch

from bacl.detectors.transfers import Awaited, sent

CPU = torch.device("cpu")


@pytest.fixture
def fetches(monkeypatch):
    """What is fetched, one entry for each time that the host waits."""
    seen = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(
        torch.Tensor, "tolist", lambda self: seen.append(original(self)) or seen[-1]
    )
    return seen


def test_what_is_needed_first_brings_the_others(fetches):
    awaited = Awaited()
    first = awaited.later(torch.tensor([5, 2**40]))
    second = awaited.later(torch.arange(6, dtype=torch.int32)[1::2])
    nothing = awaited.later(torch.zeros(0, dtype=torch.int64))
    assert fetches == []
    assert second() == [1, 3, 5]
    assert first() == [5, 2**40]
    assert nothing() == []
    assert len(fetches) == 1
    later = awaited.later(torch.tensor([7]))
    assert later() == later() == [7]
    assert fetches[1:] == [[7]]


@pytest.mark.parametrize("bad", [torch.nan, -torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 500, 999])
def test_a_value_that_is_not_finite_is_told_by_the_next_fetch(bad, place, fetches):
    awaited, values = Awaited(), torch.randn(10, 100)
    values.view(-1)[place] = bad
    awaited.check_finite(torch.randn(3), "others diverged")
    awaited.check_finite(values, "these diverged")
    assert fetches == []
    with pytest.raises(FloatingPointError, match="these diverged"):
        awaited.later(torch.tensor([1]))()
    assert len(fetches) == 1


def test_the_greatest_finite_values_and_none_pass(fetches):
    awaited, most = Awaited(), torch.finfo(torch.float32).max
    awaited.check_finite(torch.tensor([most, -most, 0.0, -0.0, 1e-45]), "diverged")
    awaited.check_finite(torch.zeros(0, 4), "diverged")
    awaited.fetch()
    awaited.fetch()
    assert len(fetches) == 1


def test_numbers_of_the_host_keep_their_type():
    for dtype in (np.int64, np.float32, bool):
        numbers = np.arange(6).reshape(2, 3).astype(dtype)
        tensor = sent(numbers, CPU)
        assert tensor.tolist() == numbers.tolist()
        assert tensor.numpy().dtype == dtype


def test_they_are_sent_to_a_device_of_any_kind():
    assert sent(np.arange(3), torch.device("meta")).device.type == "meta"
