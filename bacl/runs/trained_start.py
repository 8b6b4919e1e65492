"""A first training that starts from a trained detector of any categories."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only
from omegaconf import DictConfig, OmegaConf

from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.conventions import require_conventions
from bacl.checkpoints.detector_start import DetectorStart
from bacl.checkpoints.handover import Categories
from bacl.checkpoints.trained_detector import TrainedDetector
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.messages.shown import shown
from bacl.runs.carried_rows import CarriedRows, carried_rows, without_meaning
from bacl.runs.folder import write_text
from bacl.runs.trained_source import OPTION, read_trained
from bacl.stages import DetectionStage

TOLD = "init_from.txt"
"""File in the folder of the stage: what was taken, and what was not."""


@dataclass(frozen=True)
class TrainedStart:
    """The trained detector that a stage starts from."""

    stage: str
    """Name of the stage."""
    source: str
    """File, or torchvision's name of weights."""
    renamed: Mapping[str, str]
    """Names of categories in the data by names in the trained detector."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the detector that starts, plain values."""

    def check(self, stage: DetectionStage) -> None:
        """Refuse a detector that is not there, or is another one, before data are read.

        Args:
            stage: without numbers, of any number of categories.

        Raises:
            CheckpointError: see `read_trained` and `DetectorStart.check`; or what is taken of it
                would mean something else in this one.
            OptionError: a head that says itself that it inherits would start anew.
        """
        trained, detector = read_trained(self.source), stage.detector
        anyone = CategoryMatch.of([""] * detector.num_classes, trained.names)
        start = DetectorStart.of(detector, trained, anyone)
        start.check(detector, trained, self.source)
        said = f"{OPTION}={self.source}: {trained.told}"
        require_conventions(said, self.options, trained.options, start.takes_all)
        for name, head in stage.live_heads.items():
            self._check_carried(name, head, without_meaning(name, head, trained))

    def _check_carried(self, name: str, head: Head, without: str) -> None:
        """Refuse to start a classifier anew that its head's own option says is inherited."""
        if without and head.init == "inherit":
            at = f"stages.{self.stage}.heads.{name}.init"
            raise OptionError(
                f"{at}=inherit: no classifier of {OPTION}={self.source} is taken "
                f"({shown(without, 300)}); start it anew with {at}=fresh"
            )

    def take(self, stage: DetectionStage, categories: Categories, folder: Path) -> None:
        """Fill a new stage with all that fits, and tell what became of the rest.

        Args:
            stage: is new.
            categories: of the data.
            folder: of the stage.

        Raises:
            CheckpointError: see `read_trained` and `DetectorStart.check`.
            OptionError: `detector.init_names` names a category that is not there; or a head that
                says itself that it inherits would start anew.
        """
        trained, detector = read_trained(self.source), stage.detector
        match = CategoryMatch.of(categories.names, trained.names, self.renamed)
        start = DetectorStart.of(detector, trained, match)
        start.check(detector, trained, self.source)
        detector.load_state_dict(detector.state_dict() | start.state)
        heads = {name: head for name, head in stage.live_heads.items() if continues(head)}
        rows = {name: carried_rows(name, head, trained, match) for name, head in heads.items()}
        for name, carried in rows.items():
            self._check_carried(name, heads[name], carried.without)
            carried.load()
        report = Report(self.source, trained, match, start, rows)
        rank_zero_info("\n".join(report.in_short(folder / TOLD)))
        _write(folder / TOLD, report)


def continues(head: Head) -> bool:
    """Whether a head takes rows of a trained detector: unless it says that it starts anew."""
    return head.init in (None, "inherit")


def check_used(config: DictConfig) -> None:
    """Refuse a trained detector that no stage would start from.

    Raises:
        OptionError: every stage has something else to start from.
    """
    named, names = (OmegaConf.select(config, key) for key in (OPTION, "detector.init_names"))
    if names and named is None:
        raise OptionError(f"detector.init_names: does nothing without {OPTION}")
    if named is not None and all(
        stage.init.detector is not None for stage in config.stages.values()
    ):
        (first, *_) = config.stages
        raise OptionError(
            f"{OPTION}: no stage would start from it, as each has another start; set "
            f"stages.{first}.init.detector=null, or leave it out"
        )


@dataclass(frozen=True)
class Report:
    """What was taken of a trained detector, in words."""

    source: str
    trained: TrainedDetector
    match: CategoryMatch
    start: DetectorStart
    rows: Mapping[str, CarriedRows]

    def in_short(self, file: Path) -> list[str]:
        """Lines for the console; `file` has the whole."""
        return [*self._summary(), f"  everything else by name in {file}"]

    def whole(self) -> str:
        """Text of the file."""
        renamed = [pair for pair in self.match.found if pair[0] != pair[1]]
        parts = {
            "Categories with rows of their own name": [new for new, _ in self.match.found],
            "Categories under another name there": [f"{new}: {old}" for new, old in renamed],
            "Categories that it has not": self.match.new,
            "Its categories that the data have not": self.match.unused,
            "Of the file, left out": [f"{k}: {v}" for k, v in self.start.left_out.items()],
            "Of this detector, as it was drawn": self.start.lacking,
        }
        lines = [line for title, names in parts.items() for line in _listed(title, names)]
        return "\n".join([*self._summary(), "", *lines, ""])

    def _summary(self) -> Iterator[str]:
        counted = self.trained.names and f", of {len(self.trained.known_names)} categories"
        yield f"{OPTION}={self.source}: {self.trained.told}{counted or ''}"
        taken, lacking = len(self.start.state), self.start.lacking
        parts = sorted({key.split(".")[0] for key in lacking})
        drawn = f"; as drawn: {len(lacking)} in {', '.join(parts)}" if parts else ""
        yield f"  detector: {taken} of {taken + len(lacking)} tensors{drawn}"
        if drawn:
            yield f"  (all of the file: {self.trained.suggestion})"
        yield f"  categories: {self._categories()}"
        for name, carried in self.rows.items():
            yield f"  classifier {name}: {_of(carried)}"

    def _categories(self) -> str:
        if self.trained.names is None:
            return "the file does not name its own: none has rows of its own"
        new, unused = self.match.new, self.match.unused
        told = f"{len(self.match.found)} of {len(self.match.names)} by name"
        told += f"; new: {_some(new)}" if new else ""
        return told + (f"; left out: {_some(unused)}" if unused else "")


def _of(carried: CarriedRows) -> str:
    return f"new ({carried.without})" if carried.without else f"rows of {carried.source}"


def _some(names: Sequence[str]) -> str:
    """The first of several names."""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return shown(", ".join(names[:6]), 200) + more


def _listed(title: str, names: Sequence[str]) -> list[str]:
    return [f"{title} ({len(names)}):", *(f"  {shown(name, 300)}" for name in names), ""]


@rank_zero_only
def _write(path: Path, report: Report) -> None:
    write_text(path, report.whole())
