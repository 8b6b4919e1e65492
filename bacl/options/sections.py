"""The configuration itself: every node that names no class, with its options."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Never, NotRequired, TypedDict

from annotated_types import Interval, Len, Predicate

from bacl.options.marks import (
    AfterTraining,
    DescribesAll,
    Free,
    InCommon,
    NamesFile,
    NamesNoFolder,
    OfJob,
    OfModel,
    ReadBy,
    Samples,
    Trains,
    WordFor,
)
from bacl.options.parts import Part
from bacl.options.ranges import (
    ClassifierInit,
    Count,
    HeadName,
    Name,
    NotNegative,
    Parents,
    Pixels,
    Positive,
    Probability,
    Seed,
    Share,
    Text,
    Threshold,
    Whole,
)

Size = Annotated[Sequence[Pixels], Len(2, 2)]
"""Height and width."""
DATAMODULE = "bacl.data.datamodule.DetectionDataModule"
CLASSIFIER = "bacl.heads.Classifier"
AUGMENTATION = "bacl.data.augmentation.transforms.Augmentation"
BUILDERS = ("bacl.data.builtin.data_set.build", "bacl.data.coco_lt.COCOLTBuilder")
DETECTORS = ("bacl.detectors.faster_rcnn.FasterRCNN", "bacl.detectors.cascade_rcnn.CascadeRCNN")
"""Classes, as which of them a node is made by is not known of a path alone. What else makes data,
or is a detector, has no option with a mark for a configuration as a whole."""
TRAINER = "lightning.pytorch.Trainer"


def inside_runs(name: str | int) -> bool:
    """Whether a name is one of a folder below runs/; a longer number no checkpoint can hold."""
    path = PurePath(str(name))
    return (
        (isinstance(name, str) or abs(name) < 2**63)
        and not path.is_absolute()
        and ".." not in path.parts
        and bool(path.parts)
    )


class Split(TypedDict):
    """`data.train` and `data.val`."""

    annotations: Text
    images: Text | Annotated[Sequence[Text], Len(1)]


class Data(TypedDict):
    """The group `data`."""

    name: Text
    num_classes: Count | None
    root: Free[Text]
    """Where the data lie is free, what they hold (`content`) is not."""
    train: Free[Split]
    val: Free[Split]
    builder: NotRequired[Annotated[Any, Part(factory=None, marked=BUILDERS)]]
    content: NotRequired[Text]


class Validation(TypedDict):
    """Within the training of a stage."""

    every: Count | Probability | None
    measure: Text
    patience: Count | None
    take: Literal["last", "best"]


class Report(TypedDict):
    """What is drawn and saved after an evaluation."""

    reference: Text | None
    images: Count
    score_threshold: InCommon[Share | None]  # errors are counted from it on
    save_detections: bool
    html: bool
    errors: bool
    label_errors: Whole


class Cost(TypedDict):
    """job=cost."""

    size: Size
    rois: Count
    candidates: Annotated[Sequence[Annotated[int, Interval(ge=1, le=10**8)]], Len(1)]
    images: Count
    warm_up: Whole


class Inspection(TypedDict):
    """job=data, and the steps of job=doctor."""

    pictures: bool
    steps: Annotated[int, Interval(ge=0, le=1000)]
    examples: Annotated[int, Interval(ge=1, le=1000)]


class Predict(TypedDict):
    """job=predict."""

    images: Text | int | None
    output: Text | None
    head: Text | None
    pictures: Whole | None
    outputs: Sequence[Literal["lvis", "coco", "yolo"]]
    score_threshold: Threshold
    one_label: bool
    tile: Annotated[int, Interval(ge=32, le=16_384)] | None
    overlap: Annotated[float, Interval(ge=0, le=0.9)]


class ExportTolerance(TypedDict):
    """Of what a file finds, beside what its model finds."""

    box: NotNegative
    score: Share
    unmatched: Share
    mask: Share
    rounding: NotNegative


class Export(TypedDict):
    """job=export."""

    format: Literal["onnx", "torch", "openvino", "tensorrt", "safetensors", "mmdet", "trees"]
    output: Text | None
    head: Text | None
    image_size: Size | None
    max_batch: Annotated[int, Interval(ge=1, le=1000)]
    candidates: Count
    score_threshold: Threshold | None
    one_label: bool
    pictures: Text | None
    tried: Annotated[int, Interval(ge=1, le=1000)]
    tolerance: ExportTolerance
    parents: Parents


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


class Fitted(TypedDict):
    """What parts of detectors and heads take in the place of the paper's numbers."""

    anchor_scale: Positive
    categories: Count


class Configuration(Model):
    """conf/config.yaml, with the groups that it chooses from."""

    data: Data
    head: NotRequired[OfJob[Trains[Annotated[Any, Part(CLASSIFIER)]]]]
    """What stages make heads of; a finished stage has its own."""
    sampler: Samples[Annotated[Any, Part("bacl.data.samplers.RandomBatches", factory=True)]]
    trainer: NamesNoFolder[Annotated[Any, Part(TRAINER, marked=(TRAINER,))]]
    """A group of hardware: what of it changes a result is named where it is set by itself."""
    logger: Free[
        Mapping[Name, Annotated[Any, Part("lightning.pytorch.loggers.Logger", factory=True)]]
    ]
    datamodule: Annotated[Any, Part(DATAMODULE, factory=None, marked=(DATAMODULE,))]
    job: InCommon[Free[Text]]
    name: OfJob[Free[Annotated[Text | int, Predicate(inside_runs)]]]
    checkpoint: Annotated[
        Free[Text | None], ReadBy(("test", "predict", "import", "export", "cost"))
    ]
    output: Annotated[Free[Text | None], ReadBy(("import",))]
    checkpoint_every_minutes: Trains[Free[Annotated[float, Interval(ge=0, le=525_600)]]]  # a year
    check_memory: Annotated[Free[bool], ReadBy(("fit", "data", "doctor"))]
    validation: Trains[Validation]
    report: OfJob[Free[OfModel[Report]]]
    cache: InCommon[Free[Annotated[Any, Part("lightning.pytorch.callbacks.Callback")] | None]]
    """What is kept of a training, for it and others."""
    compile: Annotated[
        Annotated[Any, Part("bacl.detectors.programs.Programs")] | None,
        ReadBy(("fit", "test", "predict", "cost", "data", "doctor")),
    ]
    """What computes backbone and pyramid, if not layer by layer."""
    rebalance: NotRequired[
        Annotated[Any, Part("bacl.rebalance.adapter.Adapter"), ReadBy(("rebalance",))]
    ]
    """The other toolkit's detector."""
    choice: Free[Annotated[Any, Part("bacl.runs.head_choice.HeadChoice")] | None]
    """Of one of the heads, once all are trained."""
    thresholds: Annotated[
        InCommon[
            NamesNoFolder[
                Free[Annotated[Any, Part("bacl.evaluation.thresholds.objectives.Objective")]]
            ]
        ],
        ReadBy(("fit", "rebalance", "test")),
    ]
    """Of scores: what they are best for."""
    cost: Annotated[Free[Cost], ReadBy(("cost",))]
    inspection: Annotated[Free[Inspection], ReadBy(("data", "doctor"))]
    predict: Annotated[Free[Predict], ReadBy(("predict",))]
    export: Annotated[Free[Export], ReadBy(("export",))]
    sweep: NotRequired[NamesNoFolder[Mapping[str, Any]]]
    """Many runs, of which each has a name."""
    adapter: NotRequired[DescribesAll[Never]]
    """A group alone: its files are of `rebalance` and of what goes by it."""
    criterion: NotRequired[NamesNoFolder[Never]]
    """A group alone: its files are of `choice`."""
    epochs: NotRequired[Annotated[Trains[Count], WordFor("stages.representation.schedule.epochs")]]
    """This and the next two are words of `+experiment=bacl_custom`."""
    image_size: NotRequired[Pixels]
    fitted: NotRequired[Fitted]
    augmentation: NotRequired[DescribesAll[Never]]
    """A group alone, as are the next three: its files set options of other nodes."""
    balance: NotRequired[DescribesAll[Never]]
    pipeline: NotRequired[DescribesAll[Never]]
    experiment: NotRequired[DescribesAll[NamesNoFolder[Never]]]
    """Its files set `name`."""
