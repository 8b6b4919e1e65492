"""What a model is built from: sections that a checkpoint keeps of its configuration."""

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from bacl.options.marks import (
    AfterTraining,
    Free,
    InCommon,
    NamesFile,
    OfJob,
    OfModel,
    Samples,
    Trains,
)
from bacl.options.parts import Part
from bacl.options.ranges import (
    ClassifierInit,
    Count,
    HeadName,
    Name,
    Seed,
    Text,
)

DATAMODULE = "bacl.data.datamodule.DetectionDataModule"
CLASSIFIER = "bacl.heads.Classifier"
AUGMENTATION = "bacl.data.augmentation.transforms.Augmentation"
DETECTORS = ("bacl.detectors.faster_rcnn.FasterRCNN", "bacl.detectors.cascade_rcnn.CascadeRCNN")
"""Classes, as which of them a node is made by is not known of a path alone. What else is a detector
has no option with a mark for a configuration as a whole."""


class Init(TypedDict):
    """What a stage starts from."""

    detector: NamesFile[Text | None]
    classifier: ClassifierInit


class Stage(TypedDict):
    """One of `stages`."""

    module: Trains[Annotated[Any, Part("bacl.stages.stage.DetectionStage", factory=True)]]
    heads: Mapping[HeadName, Annotated[Any, Part(CLASSIFIER, marked=(CLASSIFIER,))]]
    schedule: Trains[Annotated[Any, Part("bacl.stages.WarmUpSchedule")]]
    augment: Annotated[Any, Part(AUGMENTATION, marked=(AUGMENTATION,))]
    init: Trains[Init]
    sampler: Samples[Annotated[Any, Part("bacl.data.samplers.RandomBatches", factory=True)]]


class Model(TypedDict):
    """What a model is built from."""

    detector: OfModel[
        Annotated[Any, Part("bacl.detectors.any_detector.Detector", marked=DETECTORS)]
    ]
    metric: OfModel[
        Annotated[Any, Part("bacl.evaluation.average_precision.AveragePrecision", factory=True)]
    ]
    stages: OfModel[Mapping[Name, Stage]]
    stage: InCommon[Free[Text | None]]
    seed: InCommon[Free[OfModel[Seed]]]
    masks: OfModel[bool]
    calibration: NotRequired[
        OfJob[AfterTraining[OfModel[Annotated[Any, Part("bacl.heads.Calibration")] | None]]]
    ]
    """Of every head that has none of its own."""


class Counted(TypedDict):
    """All that a model knows of its data."""

    num_classes: Count


class StoredModel(Model):
    """What a checkpoint says of its model."""

    data: Counted
    datamodule: NotRequired[Annotated[Any, Part(DATAMODULE, named=False)]]
    report: NotRequired[Any]
