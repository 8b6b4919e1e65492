"""What a stage starts from: an earlier stage of the run, a finished checkpoint, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    inherit,
    load_stage,
    saved_categories,
)
from bacl.heads import Head
from bacl.heads.predictors import class_module
from bacl.messages.errors import OptionError
from bacl.stages import DetectionStage


@dataclass(frozen=True)
class Start:
    """`init` of a stage."""

    stage: str
    """Name of the stage."""
    path: Path | None
    """The finished stage that the detector starts from; None for the backbone's own weights."""
    earlier: str | None
    """That stage's name, where it is one of the same run."""
    classifier: Literal["inherit", "fresh"]
    """Of heads that do not say otherwise."""

    @classmethod
    def of(cls, config: DictConfig, folder: Path, name: str) -> "Start":
        """That of a stage of a run in this folder."""
        init = config.stages[name].init
        source = init.detector
        own = source is not None and source in config.stages
        path = folder / source / "final.ckpt" if own else source and Path(source)
        return cls(name, path, source if own else None, init.classifier)

    def take(self, stage: DetectionStage, categories: Categories) -> None:
        """Fill a new stage with what it starts from, if anything."""
        if self.path is not None:
            content = load_stage(self.path)
            categories.check(saved_categories(content), self.path)
            inherit(stage.detector, self.inheriting(stage), content, self.path)

    def inheriting(self, stage: DetectionStage) -> dict[str, Head]:
        """The heads that continue the earlier stage's classifier."""
        heads = stage.live_heads.items()
        return {name: head for name, head in heads if (head.init or self.classifier) == "inherit"}

    def check(self, stage: DetectionStage) -> None:
        """Refuse what cannot start, before data are read and an earlier stage trains for hours.

        Raises:
            CheckpointError: a file that is missing or damaged.
            OptionError: a frozen extractor without a start, or heads with nothing to inherit.
        """
        if self.path is None:
            self._check_alone(stage)
        elif self.earlier is None:
            if not self.path.is_file():
                raise CheckpointError(f"stages.{self.stage}.init.detector: no file {self.path}")
            load_stage(self.path)

    def _check_alone(self, stage: DetectionStage) -> None:
        if not stage.extractor_trains:
            raise OptionError(
                f"stages.{self.stage}.init.detector=null: the stage freezes its extractor, which "
                "would stay as the backbone's weights have left it; name an earlier stage of this "
                "run, or the final.ckpt of another"
            )
        if heads := self.inheriting(stage):
            raise OptionError(
                f"stages.{self.stage}: {', '.join(heads)} would inherit a classifier, but "
                f"init.detector=null names nothing to inherit it from: "
                f"stages.{self.stage}.init.classifier=fresh"
            )

    def check_hand_over(self, stages: Mapping[str, DetectionStage]) -> None:
        """Refuse heads that cannot continue the classifier of an earlier stage of this command.

        Raises:
            OptionError: names the head, what the two classifiers have, and the mend.
        """
        earlier = stages.get(self.earlier or "")
        if earlier is None:
            return
        (source,) = earlier.live_heads.values()
        for name, head in self.inheriting(stages[self.stage]).items():
            if problem := _misfit(head, source, f"that of stages.{self.earlier}"):
                at = f"stages.{self.stage}.heads.{name}"
                raise OptionError(f"{at}: {problem} start it anew with {at}.init=fresh")


def _misfit(head: Head, source: Head, whose: str) -> str:
    """Why a head cannot continue the classifiers of another; empty if it can."""
    own, theirs = (_num_logits(each) for each in (head, source))
    if own != theirs:
        return (
            f"its classifier has {own} logits and is to continue {whose}, which has {theirs}: "
            "take a loss of as many logits, or"
        )
    mine, others = (_weights(each) for each in (head, source))
    if mine != others:
        return f"its classifier has {mine} and is to continue {whose}, which has {others}:"
    return ""


def _num_logits(head: Head) -> list[int]:
    return [classifier.criterion.num_logits for classifier in head.classifiers]


def _weights(head: Head) -> str:
    """Names of what is inherited, such as weight and bias."""
    return " and ".join(class_module(head.classifiers[0].predictor).state_dict())
