"""What an option may be, for the signature of the class that takes it.

In a signature of ours a parameter of one of these types (or a switch, a `Literal`, or an object) is
an option. A bare number, text or list is handed over by other code, and no option.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval, Len, Predicate

from bacl.options.marks import NamesFile, SaidBy
from bacl.options.taken_names import ATTRIBUTES

Count = Annotated[int, Interval(ge=1, le=10**6)]
Whole = Annotated[int, Interval(ge=0, le=10**6)]
"""A count that may be 0."""
Classes = Annotated[int, Interval(ge=1, le=10**5), SaidBy("data.num_classes")]
Steps = Annotated[int, Interval(ge=0, le=10**9)]
Width = Annotated[int, Interval(ge=1, le=4096)]
"""Channels, or features."""
Parents = Annotated[Sequence[Annotated[int, Interval(ge=1, le=1000)]], Len(1, 10)]
"""Of classes, in each of several trees."""
FeatureDim = Annotated[Width, SaidBy("detector.feature_dim")]
Layers = Annotated[int, Interval(ge=1, le=100)]
FrozenStages = Annotated[int, Interval(ge=0, le=4)]
"""Of a backbone's four."""
SamplingRatio = Annotated[int, Interval(ge=0, le=64)]
"""Samples per cell and axis; 0 for as many as the cell covers."""
Side = Annotated[int, Interval(ge=1, le=128)]
"""Of pooled regions, in cells."""
Rows = Annotated[int, Interval(ge=1, le=1000)]
"""Of one step's hallucinated features."""
Pixels = Annotated[int, Interval(ge=1, le=16_384)]
"""A side of a picture."""
Sides = Annotated[Sequence[Pixels], Len(1)]
Stride = Annotated[int, Interval(ge=1, le=1024)]
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
"""NumPy's generators take no larger one."""

Processes = Annotated[int, Interval(ge=1, le=1024)]

Share = Annotated[float, Interval(ge=0, le=1)]
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
ThresholdKind = Literal["global", "per_group", "per_category"]
"""Of scores, chosen by validation images: one for all categories, for each group, or for each."""
Threshold = Share | ThresholdKind
ShareBelowOne = Annotated[float, Interval(ge=0, lt=1)]
Probability = Annotated[float, Interval(gt=0, lt=1)]
"""One whose logit is finite."""
Positive = Annotated[float, Interval(gt=0, le=10**6)]
AboveOne = Annotated[float, Interval(gt=1, le=10**6)]
NotNegative = Annotated[float, Interval(ge=0, le=10**6)]
Rate = Annotated[float, Interval(ge=0, le=1000)]
"""Of learning, or of decay."""

Text = Annotated[str, Len(1)]


def of_letters_digits_and_dashes(name: str) -> bool:
    """Whether a name can be that of a file, of a column and of a module of a model."""
    return re.fullmatch(r"\w[\w=+-]{0,99}", name) is not None


ClassifierInit = Literal["inherit", "fresh", "prototypes"]
"""What a classifier starts from: that of the stage before, new weights, or class prototypes
(`bacl.runs.prototypes`)."""
Name = Annotated[str, Predicate(of_letters_digits_and_dashes)]
"""Of a part that there are several of."""


def neither_detector_nor_weights(name: str) -> bool:
    """Whether a name is none of what stands beside heads: it would take that one's place."""
    return name not in ("detector", "weights")


def no_attribute_of_a_module(name: str) -> bool:
    """Whether a name is free in the `nn.ModuleDict` that holds the heads.

    >>> no_attribute_of_a_module("half"), no_attribute_of_a_module("bacl")
    (False, True)
    """
    return not name.startswith("_") and name not in ATTRIBUTES


HeadName = Annotated[
    Name, Predicate(neither_detector_nor_weights), Predicate(no_attribute_of_a_module)
]
File = Text | Path
Weights = NamesFile[Text | None]
"""Of a backbone: a file, or the name of published ones."""
Named = Annotated[Mapping[str, Any], Len(0)]
"""Options of another library."""


def ascending(values: Sequence[float]) -> bool:
    """Whether each value is greater than the one before."""
    return all(low < high for low, high in pairwise(values))


def never_falling(values: Sequence[float]) -> bool:
    """Whether each value is at least the one before."""
    return all(low <= high for low, high in pairwise(values))


Ascending = Predicate(ascending)
NeverFalling = Predicate(never_falling)
Stds = Annotated[Sequence[Positive], Len(4, 4)]
"""Of the four deltas of a box."""
Strides = Annotated[Sequence[Stride], Len(1, 10), Ascending]
LevelStrides = Annotated[Sequence[Stride], Len(1, 10), NeverFalling]
"""Of the levels of a pyramid, of which two may have the same."""
FloatRange = Annotated[Sequence[Positive], Len(2, 2), NeverFalling]
"""Least and greatest."""
