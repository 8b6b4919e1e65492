"""What benchmarks name is there; their numbers are measured by `make bench` and by hand."""

import importlib
from pathlib import Path

import losses
import pytest
import torch

BENCHMARKS = sorted(Path(losses.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_names(path):
    assert importlib.import_module(path.stem).__doc__


def test_every_part_of_a_head_is_timed(monkeypatch):
    monkeypatch.setattr(losses, "CLASSES", 60)
    cases = losses.cases(torch.device("cpu"))
    for call in cases.values():
        call()
    assert len(cases) == 9
