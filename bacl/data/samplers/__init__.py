"""Which images make up each batch: the order of an epoch, its batches, and every process' share.

One epoch is always as many images as the data set has (less the incomplete last batch), whatever
the sampler: samplers are compared at equal numbers of steps. A batch is drawn for all processes
together and then cut, so that the data of a run do not depend on how many processes share it.
"""

from bacl.data.samplers.batches import RandomBatches, SampledImages
from bacl.data.samplers.by_category import ClassAwareBatches, EpisodicBatches
from bacl.data.samplers.evaluation_batches import EvaluationBatches
from bacl.data.samplers.repeat_factors import (
    InstanceAwareRepeatFactorBatches,
    RepeatFactorBatches,
    category_repeat_factors,
    image_repeat_factors,
)

__all__ = [
    "ClassAwareBatches",
    "EpisodicBatches",
    "EvaluationBatches",
    "InstanceAwareRepeatFactorBatches",
    "RandomBatches",
    "RepeatFactorBatches",
    "SampledImages",
    "category_repeat_factors",
    "image_repeat_factors",
]
