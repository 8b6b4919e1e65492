"""What a stage starts from: an earlier stage of the run, a finished checkpoint, or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from bacl.assembly.build import chosen_stages
from bacl.assembly.trial import try_to_build
from bacl.checkpoints.conventions import detector_options, require_conventions
from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    State,
    inherit,
    load_stage,
    saved_categories,
)
from bacl.detectors.any_detector import Detector
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.options.ranges import ClassifierInit
from bacl.runs.continued import misfit, misscored, saved, saved_loss, trained_by
from bacl.runs.prototypes import FromPrototypes
from bacl.runs.trained_start import TrainedStart, check_used
from bacl.stages import DetectionStage
from bacl.stages.freezing import any_trains


@dataclass(frozen=True)
class Start:
    """`init` of a stage."""

    stage: str
    """Name of the stage."""
    path: Path | None
    """The finished stage that the detector starts from; None for the backbone's own weights."""
    earlier: str | None
    """That stage's name, where it is one of the same command."""
    classifier: ClassifierInit
    """Of heads that do not say otherwise."""
    weights: str | None
    """Of the backbone, where there is no such stage."""
    over: bool = False
    """Whether the stage is finished, or goes on from where it was interrupted."""
    detector: Mapping[str, Any] = field(default_factory=dict)
    """Options of the detector, plain values."""

    @classmethod
    def of(cls, config: DictConfig, folder: Path, name: str) -> "Start":
        """That of a stage of a run in this folder.

        Raises:
            OptionError: it would start from itself, or from a later stage.
        """
        init, known = config.stages[name].init, list(config.stages)
        source = init.detector
        own = source is not None and source in known
        if own and known.index(source) >= known.index(name):
            earlier = " or ".join(known[: known.index(name)]) or "null"
            raise OptionError(
                f"stages.{name}.init.detector={source}: is no earlier stage of the pipeline; take "
                f"{earlier}, or the final.ckpt of another run"
            )
        path = folder / source / "final.ckpt" if own else source and Path(source)
        saved = (folder / name / file for file in ("last.ckpt", "final.ckpt"))
        together = own and source in chosen_stages(config)
        over = any(file.exists() for file in saved)
        weights, detector = OmegaConf.select(config, "detector.backbone.weights"), config.detector
        before = source if together else None
        return cls(name, path, before, init.classifier, weights, over, plain(detector))

    def take(self, stage: DetectionStage, categories: Categories, folder: Path) -> None:
        """Fill a new stage with what it starts from, if anything.

        Args:
            stage: is new.
            categories: of the data.
            folder: of the stage, where it is told what became of a trained detector.
        """
        if trained := self._trained(stage):
            trained.take(stage, categories, folder)
        if self.path is not None:
            content = load_stage(self.path)
            categories.check(saved_categories(content), self.path)
            others = self.starting(stage, "prototypes").items()
            able = {name: head for name, head in others if _can_inherit(head, content)}
            inherit(stage.detector, self.inheriting(stage) | able, content, self.path)

    def _trained(self, stage: DetectionStage) -> TrainedStart | None:
        """The trained detector of other categories that a stage starts from, if it has no other."""
        named = stage.detector.init_from if self.path is None else None
        if named is None:
            return None
        return TrainedStart(self.stage, named, stage.detector.init_names, self.detector)

    def before_first_step(self, stage: DetectionStage) -> list[Callback]:
        """What has yet to happen to the stage once its processes are there."""
        heads = self.starting(stage, "prototypes")
        return [FromPrototypes(list(heads))] if heads else []

    def inheriting(self, stage: DetectionStage) -> dict[str, Head]:
        """The heads that have to continue an earlier classifier.

        One that starts from prototypes has to where a part of it does not train: a bias, for one,
        would stay as drawn.
        """
        imprinted = self.starting(stage, "prototypes").items()
        needy = {name: head for name, head in imprinted if head.needs_start}
        return self.starting(stage, "inherit") | needy

    def starting(self, stage: DetectionStage, init: ClassifierInit) -> dict[str, Head]:
        """The heads whose classifiers start so."""
        heads = stage.live_heads.items()
        return {name: head for name, head in heads if (head.init or self.classifier) == init}

    def source(self) -> State | None:
        """Content of the file that the stage has yet to start from, if it is there before the run.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        if self.path is None or self.earlier is not None or self.over:
            return None
        try:
            return load_stage(self.path)
        except CheckpointError as error:
            raise CheckpointError(f"stages.{self.stage}.init.detector: {error}") from error

    def check(self, stage: DetectionStage, source: State | None) -> None:
        """Refuse what cannot start, before data are read and an earlier stage trains for hours.

        Args:
            stage: without numbers, of as many categories as the file if the data may have them.
            source: what `source` gave.

        Raises:
            OptionError: something is frozen that has no start, or heads have nothing to inherit.
            CheckpointError: the file's detector has other anchors, units or pooling.
        """
        for name, head in self.starting(stage, "fresh").items():
            if head.needs_start:
                at = f"stages.{self.stage}.heads.{name}"
                raise OptionError(
                    f"{at}: a part of its predictor does not train, and fresh it would stay as it "
                    f"was drawn: {at}.init=inherit"
                )
        if trained := self._trained(stage):
            if not self.over:
                trained.check(stage)
        elif self.path is None:
            self._check_alone(stage)
        elif source is not None:
            said = f"stages.{self.stage}.init.detector={self.path}: a detector"
            require_conventions(said, self.detector, detector_options(source))
            whose, categories = f"that of {self.path}", saved_categories(source)
            self._check_single(stage, list(source["heads"]), str(self.path))
            for name, head in self.inheriting(stage).items():
                if len(categories.ids) == stage.detector.num_classes:
                    self._check_fit(name, misfit(head, saved(head, source), whose))
                    self._check_scores(name, misscored(head, saved_loss(source), whose))

    def _check_alone(self, stage: DetectionStage) -> None:
        if frozen := self._frozen_without_weights(stage.detector):
            raise OptionError(
                f"stages.{self.stage}.init.detector=null: the stage freezes its extractor, or a "
                f"part of it, and {' and '.join(frozen)} would stay as drawn; name an earlier "
                "stage of this run, or the final.ckpt of another"
            )
        if heads := self.starting(stage, "inherit") | self.starting(stage, "prototypes"):
            raise OptionError(
                f"stages.{self.stage}: {', '.join(heads)} would inherit a classifier, but "
                f"init.detector=null names nothing to inherit it from, and no detector that makes "
                f"prototypes: stages.{self.stage}.init.classifier=fresh"
            )

    def _frozen_without_weights(self, detector: Detector) -> list[str]:
        """Parts of an extractor that have no weights of their own and are frozen.

        At least in part; but a backbone's first stages may be frozen as drawn.
        """
        parts = dict(detector.extractor)
        backbone = parts.pop("backbone", None)
        frozen = [
            f"detector.{name}"
            for name, part in parts.items()
            if not all(parameter.requires_grad for parameter in part.parameters())
        ]
        random = backbone is not None and self.weights is None and not any_trains(backbone)
        return ["detector.backbone"] * random + frozen

    def check_hand_over(self, stages: Mapping[str, DetectionStage], counted: bool = True) -> None:
        """Refuse heads that cannot continue the classifier of an earlier stage of this command.

        Args:
            stages: all of the command.
            counted: whether they are of as many categories as the data have.

        Raises:
            OptionError: names the head, what the two classifiers have or were trained with, and the
                mend.
        """
        earlier = stages.get(self.earlier or "")
        if earlier is None:
            return
        whose = f"stages.{self.earlier}"
        self._check_single(stages[self.stage], list(earlier.live_heads), whose)
        for name, head in self.inheriting(stages[self.stage]).items():
            left = {"heads": {key: each.state_dict() for key, each in earlier.live_heads.items()}}
            self._check_fit(name, misfit(head, saved(head, left), f"that of {whose}", counted))
            (single,) = earlier.live_heads.values()
            by = trained_by(single.classifiers[-1].criterion)
            self._check_scores(name, misscored(head, by, f"that of {whose}"))

    def _check_single(self, stage: DetectionStage, sources: Sequence[str], whose: str) -> None:
        """Refuse heads that would have several to inherit from."""
        for name in self.inheriting(stage) if len(sources) != 1 else ():
            at = f"stages.{self.stage}.heads.{name}"
            raise OptionError(
                f"{at}: would inherit a classifier from {whose}, which has several heads "
                f"({', '.join(sources)}); start it anew with {at}.init=fresh"
            )

    def _check_fit(self, name: str, problem: str) -> None:
        if problem:
            at = f"stages.{self.stage}.heads.{name}"
            raise OptionError(f"{at}: {problem} start it anew with {at}.init=fresh")

    def _check_scores(self, name: str, problem: str) -> None:
        if problem:
            raise OptionError(f"stages.{self.stage}.heads.{name}: {problem}")


def check_starts(config: DictConfig, starts: Mapping[str, Start]) -> None:
    """Build every stage without numbers, and refuse what cannot start: see `Start.check`.

    Raises:
        CheckpointError: a file that is missing or damaged.
        OptionError: a part refuses its options, or a stage has no start.
    """
    check_used(config)
    sources = {name: start.source() for name, start in starts.items()}
    counts = [len(saved_categories(each).ids) for each in sources.values() if each is not None]
    tried = try_to_build(config, *counts[:1])
    for name, start in starts.items():
        start.check(tried[name], sources[name])
        start.check_hand_over(tried, counted=False)


def _can_inherit(head: Head, content: State) -> bool:
    return len(content["heads"]) == 1 and not misfit(head, saved(head, content), "")
