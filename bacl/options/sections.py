"""The configuration itself: every node that names no class, with its options."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Never, NotRequired, TypedDict

from annotated_types import Interval, Len, Predicate

from bacl.options.job_sections import Cost, Export, Inspection, Predict
from bacl.options.marks import (
    DescribesAll,
    Free,
    InCommon,
    NamesNoFolder,
    OfJob,
    OfModel,
    ReadBy,
    Samples,
    Trains,
    WordFor,
)
from bacl.options.model_sections import CLASSIFIER, DATAMODULE, Model
from bacl.options.parts import Part
from bacl.options.ranges import (
    Count,
    Name,
    Pixels,
    Positive,
    Probability,
    Share,
    Text,
    Whole,
)

BUILDERS = ("bacl.data.builtin.data_set.build", "bacl.data.coco_lt.COCOLTBuilder")
"""Classes, as which of them a node is made by is not known of a path alone. What else makes data
has no option with a mark for a configuration as a whole."""
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
