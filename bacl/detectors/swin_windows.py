"""Swin's windows with sizes that torch's tracer can follow.

timm's block rolls the map, pads it by remainders of remainders and divides the padded sides again;
torch's tracer (2.14) does not come to an end with these of an unknown size. Here windows are
gathered: the number of windows comes first, and every other size is a product of it. The result is
that of timm's block without its fused attention.

B: images. H, W, C: height, width and channels of the map. n: windows that cover it, and one more.
N: positions in a window.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch import Tensor, nn

SHUT = -100.0
"""Added to the logit of two positions that a shift brought into one window, as timm does."""


@dataclass(frozen=True)
class Windows:
    """Which position of a map lies where in which window."""

    height: int
    width: int
    window: tuple[int, int]
    """Height and width of one, in positions."""
    shift: tuple[int, int]
    """By how much the map was rolled up and to the left before it was cut."""
    device: torch.device

    @property
    def across(self) -> int:
        """Windows beside each other."""
        return (self.width + self.window[1] - 1) // self.window[1]

    @property
    def down(self) -> int:
        """Windows above each other."""
        return (self.height + self.window[0] - 1) // self.window[0]

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """Row and column (n, N) int64 in the rolled map; some lie below or beside it.

        The last window does so as a whole: a tracer would record one window for itself.
        """
        windows = torch.arange(self.down * self.across + 1, device=self.device).unsqueeze(1)
        inside = torch.arange(self.window[0] * self.window[1], device=self.device).unsqueeze(0)
        rows = windows // self.across * self.window[0] + inside // self.window[1]
        return rows, _rest(windows, self.across) * self.window[1] + inside % self.window[1]

    def cut(self, x: Tensor) -> Tensor:
        """(B, n, N, C) of a map (B, H, W, C), with zeros below and beside it."""
        rows, columns = self.places
        known = (rows < self.height) & (columns < self.width)
        rows = _rest(rows + self.shift[0], self.height)
        columns = _rest(columns + self.shift[1], self.width)
        sources = torch.where(known, rows * self.width + columns, self.height * self.width)
        padded = torch.cat((x.flatten(1, 2), x.new_zeros(x.shape[0], 1, x.shape[3])), dim=1)
        return padded.index_select(1, sources.flatten()).unflatten(1, sources.shape)

    def joined(self, windows: Tensor) -> Tensor:
        """(B, H, W, C): the map whose windows (B, n, N, C) are."""
        rows = torch.arange(self.height, device=self.device).unsqueeze(1)
        columns = torch.arange(self.width, device=self.device).unsqueeze(0)
        rows = _rest(rows + self.height - self.shift[0], self.height)
        columns = _rest(columns + self.width - self.shift[1], self.width)
        high, wide = self.window
        numbers = rows // high * self.across + columns // wide
        sources = numbers * (high * wide) + rows % high * wide + columns % wide
        return windows.flatten(1, 2).index_select(1, sources.flatten()).unflatten(1, sources.shape)

    def shut(self) -> Tensor | None:
        """(n, 1, N, N): what is added to logits; None without a shift."""
        if not any(self.shift):
            return None
        ends = self.down * self.window[0], self.across * self.window[1]
        parts = zip(self.places, ends, self.window, self.shift, strict=True)
        rows, columns = (
            (at >= end - side).long() + (at >= end - moved).long() for at, end, side, moved in parts
        )
        regions = rows * 3 + columns
        return (SHUT * (regions.unsqueeze(1) != regions.unsqueeze(2))).unsqueeze(1)


class TraceableSwinBlock(SwinTransformerBlock):
    """A block as it is, whose attention is computed for a map of any size.

    Liu et al., Swin Transformer, ICCV 2021, Sec. 3.2.
    """

    def _attn(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        windows = Windows(height, width, self.window_size, self.shift_size, x.device)
        return windows.joined(_seen(self.attn, windows.cut(x), windows.shut()))


def make_traceable(model: nn.Module) -> None:
    """Let all blocks of a Swin compute their attention so that a tracer can follow it."""
    for part in model.modules():
        if type(part) is SwinTransformerBlock:
            part.__class__ = TraceableSwinBlock


def can_be_made_traceable(model: nn.Module) -> bool:
    """Whether all of its windows are those of such blocks."""
    windowed = (part for part in model.modules() if hasattr(part, "window_size"))
    return all(type(part) in (SwinTransformerBlock, WindowAttention) for part in windowed)


def _rest(numbers: Tensor, divisor: int) -> Tensor:
    """What is left of them; ONNX's exporter (torch 2.14) knows no `%` of an unknown divisor."""
    return numbers - numbers // divisor * divisor


def _seen(attention: WindowAttention, x: Tensor, shut: Tensor | None) -> Tensor:
    """(B, n, N, C): what every position of windows (B, n, N, C) attends to."""
    queries, keys, values = (
        each.unflatten(-1, (attention.num_heads, -1)).transpose(2, 3)
        for each in attention.qkv(x).chunk(3, dim=-1)
    )
    logits = (queries * attention.scale) @ keys.transpose(-2, -1) + attention._get_rel_pos_bias()
    if shut is not None:
        logits = logits + shut
    seen: Tensor = attention.proj((logits.softmax(dim=-1) @ values).transpose(2, 3).flatten(3))
    return seen
