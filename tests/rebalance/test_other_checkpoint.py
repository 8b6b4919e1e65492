"""Files of other toolkits: what is read of them, and that nothing in them is executed."""

from argparse import Namespace
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from bacl.rebalance.other_checkpoint import OtherCheckpoint, OtherCheckpointError


@pytest.mark.parametrize("kind", [Namespace, SimpleNamespace])
def test_options_by_name_are_read_and_stay_in_the_file_that_is_written(kind, tmp_path):
    said = kind(resolution=64, nested={"lr": kind(value=0.1)})
    torch.save({"model": {"w": torch.zeros(2)}, "args": said}, tmp_path / "theirs.pth")
    checkpoint = OtherCheckpoint(str(tmp_path / "theirs.pth"))
    assert checkpoint.content["args"] == said
    checkpoint.write(tmp_path / "other.pth", {"w": torch.ones(2)})
    written = OtherCheckpoint(str(tmp_path / "other.pth"))
    assert written.content["args"] == said
    assert written.weights["w"].tolist() == [1, 1]


class Own(Namespace):
    """Another class, however near."""


class Executes:
    """What a pickle runs as it is read."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("args", [Own(a=1), Fraction(1, 2), Namespace(a=Executes())])
def test_other_classes_are_refused_and_nothing_is_executed(args, tmp_path, capsys):
    torch.save({"model": {"w": torch.zeros(2)}, "args": args}, tmp_path / "odd.pth")
    with pytest.raises(OtherCheckpointError, match=r"odd.pth: it asks for .*save the weights"):
        _ = OtherCheckpoint(str(tmp_path / "odd.pth")).content
    assert "executed" not in capsys.readouterr().out
