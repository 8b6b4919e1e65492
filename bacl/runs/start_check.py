"""Refuses what no stage can start from, before an earlier one trains for hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from bacl.assembly.trial import try_to_build
from bacl.checkpoints.conventions import detector_options, require_conventions
from bacl.checkpoints.handover import State, saved_categories
from bacl.detectors.any_detector import Detector
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.runs.continued import misfit, misscored, saved, saved_loss, trained_by
from bacl.runs.start import Start
from bacl.runs.trained_start import check_used
from bacl.stages import DetectionStage
from bacl.stages.freezing import any_trains


def check_starts(config: DictConfig, starts: Mapping[str, Start]) -> None:
    """Build every stage without numbers, and refuse what cannot start: see `StartCheck`.

    Raises:
        CheckpointError: a file that is missing or damaged.
        OptionError: a part refuses its options, or a stage has no start.
    """
    check_used(config)
    sources = {name: start.source() for name, start in starts.items()}
    counts = [len(saved_categories(each).ids) for each in sources.values() if each is not None]
    tried = try_to_build(config, *counts[:1])
    for name, start in starts.items():
        StartCheck(start, tried[name]).check(sources[name])
        check_hand_over(start, tried, counted=False)


def check_hand_over(
    start: Start, stages: Mapping[str, DetectionStage], counted: bool = True
) -> None:
    """Refuse heads that cannot continue the classifier of an earlier stage of this command.

    Args:
        start: of one of the stages.
        stages: all of the command.
        counted: whether they are of as many categories as the data have.

    Raises:
        OptionError: names the head, what the two classifiers have or were trained with, and the
            mend.
    """
    earlier = stages.get(start.earlier or "")
    if earlier is not None:
        StartCheck(start, stages[start.stage]).check_hand_over(earlier, counted)


@dataclass(frozen=True)
class StartCheck:
    """A stage beside what it starts from."""

    start: Start
    stage: DetectionStage
    """Without numbers, of as many categories as the file if the data may have them."""

    @property
    def _at(self) -> str:
        return f"stages.{self.start.stage}"

    @property
    def _inheriting(self) -> dict[str, Head]:
        return self.start.inheriting(self.stage)

    def check(self, source: State | None) -> None:
        """Refuse a stage that cannot start.

        Args:
            source: what `Start.source` gave.

        Raises:
            OptionError: something is frozen that has no start, or heads have nothing to inherit.
            CheckpointError: the file's detector has other anchors, units or pooling.
        """
        for name, head in self.start.starting(self.stage, "fresh").items():
            if head.needs_start:
                at = f"{self._at}.heads.{name}"
                raise OptionError(
                    f"{at}: a part of its predictor does not train, and fresh it would stay as it "
                    f"was drawn: {at}.init=inherit"
                )
        if trained := self.start.trained(self.stage):
            if not self.start.over:
                trained.check(self.stage)
        elif self.start.path is None:
            self._check_alone()
        elif source is not None:
            self._check_file(source)

    def _check_file(self, source: State) -> None:
        said = f"{self._at}.init.detector={self.start.path}: a detector"
        require_conventions(said, self.start.detector, detector_options(source))
        whose, categories = f"that of {self.start.path}", saved_categories(source)
        self._check_single(list(source["heads"]), str(self.start.path))
        for name, head in self._inheriting.items():
            if len(categories.ids) == self.stage.detector.num_classes:
                self._check_fit(name, misfit(head, saved(head, source), whose))
                self._check_scores(name, misscored(head, saved_loss(source), whose))

    def _check_alone(self) -> None:
        if frozen := _frozen_without_weights(self.stage.detector, self.start.weights):
            raise OptionError(
                f"{self._at}.init.detector=null: the stage freezes its extractor, or a "
                f"part of it, and {' and '.join(frozen)} would stay as drawn; name an earlier "
                "stage of this run, or the final.ckpt of another"
            )
        start, stage = self.start, self.stage
        if heads := start.starting(stage, "inherit") | start.starting(stage, "prototypes"):
            raise OptionError(
                f"{self._at}: {', '.join(heads)} would inherit a classifier, but "
                f"init.detector=null names nothing to inherit it from, and no detector that makes "
                f"prototypes: {self._at}.init.classifier=fresh"
            )

    def check_hand_over(self, earlier: DetectionStage, counted: bool) -> None:
        """Refuse heads that cannot continue the classifier of an earlier stage.

        Args:
            earlier: that stage.
            counted: whether they are of as many categories as the data have.

        Raises:
            OptionError: names the head, what the two classifiers have or were trained with, and the
                mend.
        """
        whose = f"stages.{self.start.earlier}"
        self._check_single(list(earlier.live_heads), whose)
        for name, head in self._inheriting.items():
            left = {"heads": {key: each.state_dict() for key, each in earlier.live_heads.items()}}
            self._check_fit(name, misfit(head, saved(head, left), f"that of {whose}", counted))
            (single,) = earlier.live_heads.values()
            by = trained_by(single.classifiers[-1].criterion)
            self._check_scores(name, misscored(head, by, f"that of {whose}"))

    def _check_single(self, sources: Sequence[str], whose: str) -> None:
        """Refuse heads that would have several to inherit from."""
        for name in self._inheriting if len(sources) != 1 else ():
            at = f"{self._at}.heads.{name}"
            raise OptionError(
                f"{at}: would inherit a classifier from {whose}, which has several heads "
                f"({', '.join(sources)}); start it anew with {at}.init=fresh"
            )

    def _check_fit(self, name: str, problem: str) -> None:
        if problem:
            at = f"{self._at}.heads.{name}"
            raise OptionError(f"{at}: {problem} start it anew with {at}.init=fresh")

    def _check_scores(self, name: str, problem: str) -> None:
        if problem:
            raise OptionError(f"{self._at}.heads.{name}: {problem}")


def _frozen_without_weights(detector: Detector, weights: str | None) -> list[str]:
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
    random = backbone is not None and weights is None and not any_trains(backbone)
    return ["detector.backbone"] * random + frozen
