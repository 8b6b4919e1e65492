"""Options of classes that are not ours: ranges, and what other code sets."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Never, TypedDict

from annotated_types import Interval, Len

from bacl.options.marks import Free, Hardware, Trains
from bacl.options.parts import Part
from bacl.options.ranges import Count, Positive, PositiveShare, Share, ShareBelowOne, Text, Whole

Batches = Annotated[int, Interval(ge=1)] | PositiveShare | None
"""A number or a share of batches, null for all: without any, a run would end with nothing learnt or
an AP of 0."""
ScaledPrecision = Literal["16-mixed", "16", 16]
"""Those that scale all gradients by one factor, which depends on every head."""


class Trainer(TypedDict, total=False):
    """Lightning's trainer."""

    accelerator: Hardware[Free[Text]]
    devices: Hardware[Free[Annotated[int, Interval(ge=-1, le=4096)] | Text | Sequence[Whole]]]
    num_nodes: Hardware[Free[Count]]
    strategy: Hardware[
        Free[Text | Annotated[Mapping[str, Any], Part("lightning.pytorch.strategies.Strategy")]]
    ]
    precision: Hardware[Literal["32-true", "bf16-mixed", "32", "bf16", 32, ScaledPrecision]]
    matmul_precision: Hardware[Free[Literal["highest", "high", "medium"]]]  # torch's
    accumulate_grad_batches: Trains[Count]
    gradient_clip_val: Trains[Positive | None]
    gradient_clip_algorithm: Trains[Literal["norm", "value"] | None]
    log_every_n_steps: Free[Count]
    limit_train_batches: Trains[Batches]
    limit_val_batches: Free[Batches]
    num_sanity_val_steps: Trains[Free[Annotated[int, Interval(ge=-1, le=10**6)]]]
    deterministic: bool | Literal["warn"]
    benchmark: Free[bool | None]
    profiler: Free[Literal["simple", "advanced", "pytorch"] | None]
    enable_progress_bar: Free[bool]
    enable_model_summary: Free[bool]
    use_distributed_sampler: Literal[False]
    max_epochs: Never
    check_val_every_n_epoch: Never
    val_check_interval: Never
    logger: Never
    callbacks: Never
    default_root_dir: Never
    plugins: Never


class SGD(TypedDict, total=False):
    """Of torch."""

    params: Never
    lr: Never
    weight_decay: Never
    momentum: ShareBelowOne


class AdamW(TypedDict, total=False):
    """Of torch."""

    params: Never
    lr: Never
    weight_decay: Never
    betas: Annotated[Sequence[ShareBelowOne], Len(2, 2)]
    eps: Positive


class Compose(TypedDict):
    """Of torchvision."""

    transforms: Annotated[Sequence[Annotated[Any, Part("torch.nn.Module")]], Len(1)]


class RandomHorizontalFlip(TypedDict, total=False):
    """Of torchvision."""

    p: Share


class Metric(TypedDict, total=False):
    """Of torchmetrics."""

    compute_on_cpu: bool
    dist_sync_on_step: bool
    sync_on_compute: bool
    compute_with_cache: bool


LIBRARIES: dict[str, Any] = {
    "lightning.pytorch.Trainer": Trainer,
    "torch.optim.SGD": SGD,
    "torch.optim.AdamW": AdamW,
    "torchmetrics.metric.Metric": Metric,
    "torchvision.transforms.v2.Compose": Compose,
    "torchvision.transforms.v2.RandomHorizontalFlip": RandomHorizontalFlip,
}
"""By `_target_`, or by the module that a base class is defined in."""
