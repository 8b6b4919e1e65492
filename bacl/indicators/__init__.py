"""Long-term indicators (Tab. II, Eq. 14): how strong the classifier is on each foreground class.

Imports: options.
"""

from bacl.indicators.base import LongTermIndicator, PairwiseIndicator, ScalarIndicator
from bacl.indicators.confusion import ConfusionMatrix, HardConfusionMatrix
from bacl.indicators.counts import Counts, counts_of, frequency_groups, image_frequencies
from bacl.indicators.foreground import Foreground
from bacl.indicators.frequency import ImageFrequency, InstanceFrequency
from bacl.indicators.online import CumulativeInstances, MeanScore, TruePositiveRate
from bacl.indicators.sparse_confusion import SparseConfusionMatrix

__all__ = [
    "ConfusionMatrix",
    "Counts",
    "CumulativeInstances",
    "Foreground",
    "HardConfusionMatrix",
    "ImageFrequency",
    "InstanceFrequency",
    "LongTermIndicator",
    "MeanScore",
    "PairwiseIndicator",
    "ScalarIndicator",
    "SparseConfusionMatrix",
    "TruePositiveRate",
    "counts_of",
    "frequency_groups",
    "image_frequencies",
]
