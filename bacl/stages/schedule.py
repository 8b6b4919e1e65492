"""Optimiser and learning rate of one stage (Sec. IV-B)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any

from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
)

from bacl.options.ranges import Ascending, Count, NotNegative, PositiveShare, Rate, Steps
from bacl.stages.parameter_groups import SHARE

EXCLUSIVE = {"fused", "foreach", "differentiable"}
"""Options of torch's optimisers that say how a step is taken; at most one is on."""


@dataclass(frozen=True, kw_only=True)
class WarmUpSchedule(ABC):
    """Linear warm-up, times what a subclass makes of the learning rate.

    The learning rate is given for `reference_batch` images and scaled linearly with the images per
    step over all processes; `reference_batch: null` takes it as it is.
    """

    optimizer: Callable[..., Optimizer]
    """Partial of a torch optimiser; called with the parameter groups, lr and weight_decay."""
    epochs: Count
    learning_rate: Rate
    reference_batch: Count | None
    weight_decay: Rate
    warmup_steps: Steps
    warmup_factor: PositiveShare
    """Learning rate of the first step, as a fraction."""

    def scaled_learning_rate(self, images_per_step: int, rate: float | None = None) -> float:
        """Learning rate for this many images per optimiser step over all processes.

        `rate` stands for the schedule's own learning rate and is scaled alike.
        """
        rate = self.learning_rate if rate is None else rate
        return (
            rate if self.reference_batch is None else rate * images_per_step / self.reference_batch
        )

    def build_optimizer(
        self, groups: Iterable[dict[str, Any]], images_per_step: int, fused: bool = False
    ) -> Optimizer:
        """The optimiser over parameter groups, at their scaled learning rates.

        Args:
            groups: as torch takes them; a group's own `lr` (not scaled yet) and `weight_decay`
                stand for the schedule's, its `SHARE` is what it takes of the rate.
            images_per_step: over all processes.
            fused: take the whole step of a group in one operator, if the optimiser can and its
                partial does not say otherwise.
        """
        scaled = [group | {"lr": self._rate(group, images_per_step)} for group in groups]
        options: dict[str, Any] = {"weight_decay": self.weight_decay}
        said = getattr(self.optimizer, "keywords", {})
        if fused and "fused" in signature(self.optimizer).parameters and not EXCLUSIVE & set(said):
            options["fused"] = True
        return self.optimizer(scaled, **options)

    def _rate(self, group: Mapping[str, Any], images_per_step: int) -> float:
        rate = self.scaled_learning_rate(images_per_step, group.get("lr"))
        return rate * group[SHARE] if SHARE in group else rate

    def build_scheduler(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        """A scheduler that is stepped after every optimiser step.

        What takes no effect in the time of the training is told.
        """
        if told := self._too_late(steps_per_epoch):
            rank_zero_warn(told)
        warmup = max(1, self.warmup_steps)
        return ChainedScheduler(
            [
                LinearLR(optimizer, start_factor=self.warmup_factor, total_iters=warmup),
                self._decay(optimizer, steps_per_epoch),
            ]
        )

    @abstractmethod
    def _decay(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        """What multiplies the learning rate of a step, by the rate of the step before."""

    def _too_late(self, steps_per_epoch: int) -> str:
        steps = self.epochs * steps_per_epoch
        if self.warmup_steps > steps / 2:
            return (
                f"schedule.warmup_steps={self.warmup_steps} of {steps} steps in all: the learning "
                "rate hardly comes to its full; take fewer, or more epochs"
            )
        return ""


@dataclass(frozen=True, kw_only=True)
class Schedule(WarmUpSchedule):
    """Linear warm-up, then a drop of the learning rate after each milestone."""

    milestones: Annotated[Sequence[Count], Ascending]
    """Epochs after which the learning rate is multiplied by `gamma`."""
    gamma: NotNegative

    def _decay(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        drops = [epoch * steps_per_epoch for epoch in self.milestones]
        return MultiStepLR(optimizer, milestones=drops, gamma=self.gamma)

    def _too_late(self, steps_per_epoch: int) -> str:
        late = [epoch for epoch in self.milestones if epoch >= self.epochs]
        told = f"schedule.milestones={late}: training ends before" if late else ""
        return super()._too_late(steps_per_epoch) or told


@dataclass(frozen=True, kw_only=True)
class CosineSchedule(WarmUpSchedule):
    """Linear warm-up, times half a cosine from 1 at the first step to 0 after the last.

    SGDR's without restarts (Loshchilov and Hutter, ICLR 2017, Eq. 5), counted in steps, from the
    first of the warm-up on.
    """

    def _decay(self, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
        return CosineAnnealingLR(optimizer, T_max=self.epochs * steps_per_epoch)
