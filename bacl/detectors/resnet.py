"""ResNet backbones (He et al., CVPR 2016), with the stride in the 3×3 convolution.

Layers carry torchvision's names (conv1, bn1, layer1.0.conv1, ...), so its weights load as they are.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from bacl.detectors.backbone import Backbone
from bacl.detectors.folding import Convolve, one_by_one, with_norms
from bacl.detectors.weights import load_weights
from bacl.options.ranges import FrozenStages, Weights


class FoldedBasicBlock(BasicBlock):
    """torchvision's basic block; batch norms with fixed statistics cost nothing."""

    def forward(self, x: Tensor, convolve: Convolve = one_by_one) -> Tensor:
        """Feature map of the block for the one before it."""
        out = F.relu(convolve(x, self.conv1, self.bn1), inplace=True)
        out = convolve(out, self.conv2, self.bn2)
        return F.relu(out.add_(_shortcut(x, self.downsample, convolve)), inplace=True)


class FoldedBottleneck(Bottleneck):
    """torchvision's bottleneck; batch norms with fixed statistics cost nothing."""

    def forward(self, x: Tensor, convolve: Convolve = one_by_one) -> Tensor:
        """Feature map of the block for the one before it."""
        out = F.relu(convolve(x, self.conv1, self.bn1), inplace=True)
        out = F.relu(convolve(out, self.conv2, self.bn2), inplace=True)
        out = convolve(out, self.conv3, self.bn3)
        return F.relu(out.add_(_shortcut(x, self.downsample, convolve)), inplace=True)


def _shortcut(x: Tensor, downsample: nn.Module | None, convolve: Convolve) -> Tensor:
    return x if downsample is None else convolve(x, *downsample.children())  # type: ignore[arg-type]


BLOCKS: dict[int, tuple[type[FoldedBasicBlock | FoldedBottleneck], tuple[int, ...]]] = {
    10: (FoldedBasicBlock, (1, 1, 1, 1)),
    18: (FoldedBasicBlock, (2, 2, 2, 2)),
    34: (FoldedBasicBlock, (3, 4, 6, 3)),
    50: (FoldedBottleneck, (3, 4, 6, 3)),
    101: (FoldedBottleneck, (3, 4, 23, 3)),
}
"""Kind and number of blocks per stage, by depth."""


class ResNet(Backbone):
    """ResNet without its classifier.

    Args:
        depth: 10, 18, 34, 50 or 101.
        frozen_stages: stages without gradient (0: none; 1: stem and first stage).
        norm_eval: batch norms keep their statistics (see `Backbone.freeze`).
        weights: file or torchvision name (see `load_weights`); None for random weights.
        width: channels of the stem; 64 in every published ResNet.
        norm: makes a normalisation layer from its channels.
    """

    def __init__(
        self,
        depth: Literal[10, 18, 34, 50, 101],
        frozen_stages: FrozenStages,
        norm_eval: bool,
        weights: Weights,
        width: Annotated[int, Interval(ge=1, le=512)] = 64,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"ResNet.depth must be one of {sorted(BLOCKS)}, got {depth}")
        block, counts = BLOCKS[depth]
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        widths = [width * 2**index for index in range(4)]
        self.channels = tuple(planes * block.expansion for planes in widths)
        inputs = (width, *self.channels)
        self.layer1 = _stage(block, counts[0], inputs[0], widths[0], 1, norm)
        self.layer2 = _stage(block, counts[1], inputs[1], widths[1], 2, norm)
        self.layer3 = _stage(block, counts[2], inputs[2], widths[2], 2, norm)
        self.layer4 = _stage(block, counts[3], inputs[3], widths[3], 2, norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        load_weights(self, weights, leave_out="fc.")
        self.pairs = [with_norms(stage) for stage in self.stages()]
        self.keeps_zeros = isinstance(self.bn1, nn.BatchNorm2d)
        self.freeze(frozen_stages, norm_eval)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """Stem with the first stage, then the other three."""
        return ((self.conv1, self.bn1, self.layer1), (self.layer2,), (self.layer3,), (self.layer4,))

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """Feature map of stage `index` for the one before it."""
        convolve = self.folded(index)
        if index == 0:
            x = F.relu(convolve(x, self.conv1, self.bn1), inplace=True)
            x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for block in self.stages()[index][-1].children():
            x = block(x, convolve)
        return x


def _stage(
    block: type[FoldedBasicBlock | FoldedBottleneck],
    count: int,
    channels: int,
    planes: int,
    stride: int,
    norm: Callable[[int], nn.Module],
) -> nn.Sequential:
    """`count` blocks; the first one strides, with a 1×1 shortcut where the shape changes."""
    outputs = planes * block.expansion
    downsample = None
    if stride != 1 or channels != outputs:
        shortcut = nn.Conv2d(channels, outputs, 1, stride=stride, bias=False)
        downsample = nn.Sequential(shortcut, norm(outputs))
    first = block(channels, planes, stride, downsample, norm_layer=norm)
    rest = [block(outputs, planes, norm_layer=norm) for _ in range(count - 1)]
    return nn.Sequential(first, *rest)
