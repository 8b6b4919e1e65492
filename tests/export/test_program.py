"""Programs of torch.export as they are run."""

import pytest
import torch
from torch import nn
from torch.export import Dim

from bacl.export.program import TorchProgram
from bacl.messages.errors import OptionError


class OfLargePictures(nn.Module):
    """Says what a detector with five levels comes to say: its last map has more than one cell."""

    def forward(self, images, sizes):
        torch._check(images.shape[2] >= 65)
        return images.float().mean((1, 2, 3)), sizes


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "x.pt2"
    example = torch.zeros(2, 3, 96, 128, dtype=torch.uint8), torch.tensor([[96, 128]] * 2)
    sides = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    recorded = torch.export.export(
        OfLargePictures(), example, dynamic_shapes=(sides, {0: Dim.AUTO})
    )
    torch.export.save(recorded, path)
    return TorchProgram(path)


def test_pictures_that_a_program_was_not_recorded_for_are_told_with_a_mend(program):
    small = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    told = r"takes none of 64 x 64 pixels \(.*65.*\); take export.format=onnx, or name a size"
    with pytest.raises(OptionError, match=told):
        program(small, torch.tensor([[64, 64]] * 2))


def test_others_are_computed(program):
    white = torch.full((2, 3, 66, 10), 255, dtype=torch.uint8)
    means, sizes = program(white, torch.tensor([[66, 10]] * 2))
    assert means.tolist() == [255.0, 255.0]
    assert sizes.tolist() == [[66, 10]] * 2
