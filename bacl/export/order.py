"""What is exported: one head of a model, by the options of a command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bacl.assembly.accepting import acceptance
from bacl.assembly.rebuilt import Restored
from bacl.data.batch import Detections
from bacl.detectors.acceptance import Acceptance
from bacl.detectors.region_detector import RegionDetector, that_sees_pictures
from bacl.export.detection_agreement import Agreement, Tolerance
from bacl.export.detector import ExportableDetector
from bacl.export.notes import notes_of
from bacl.export.rounding import in_double_precision
from bacl.export.suppression import Survivors
from bacl.export.tracing import ImageSize, checked_size
from bacl.export.trial_batch import Trial, trials
from bacl.export.trial_pictures import TrialPictures, trial_pictures
from bacl.export.tried import Finds, write_tried
from bacl.inference.computing import as_in_a_job
from bacl.options.composed import plain

ASKED = "job=export"


@dataclass(frozen=True)
class Order:
    """A head of a model, and how it is to be written."""

    model: Restored
    head: str
    options: Mapping[str, Any]
    """The section `export` of the configuration."""
    folders: Sequence[str] = ()
    """Of validation pictures that may be there."""

    @property
    def detector(self) -> RegionDetector:
        """The model's."""
        return that_sees_pictures(self.model.stage.detector, ASKED)

    @cached_property
    def size(self) -> ImageSize:
        """Of the file's input."""
        return checked_size(self.options["image_size"])

    @cached_property
    def accept(self) -> Acceptance | None:
        """Which detections the file gives; None: all."""
        threshold, one_label = self.options["score_threshold"], self.options["one_label"]
        if threshold is None and not one_label:
            return None
        words = threshold or 0.0, one_label, "export.score_threshold"
        return acceptance(self.model, self.head, *words)

    @cached_property
    def pictures(self) -> TrialPictures:
        """That the file is tried on."""
        named, count = self.options["pictures"], self.options["tried"]
        test, reading = self.model.augmentation.test, self.model.reading
        return trial_pictures(named, self.folders, count, test, reading)

    @property
    def notes(self) -> dict[str, Any]:
        """What the file says of itself: label i is category i of the lists."""
        model, head = self.model, self.head
        resize = plain(model.config.stages[model.name].augment)["test"]
        more = {"categories": model.categories.plain(), "head": head, "test_transform": resize}
        more["accepted"] = {name: self.options[name] for name in ("score_threshold", "one_label")}
        if head in model.thresholds:
            more["thresholds"] = model.thresholds[head].plain()
        return notes_of(self.detector, model.augmentation.test, self.size, more)

    def exportable(self, suppress: Survivors) -> ExportableDetector:
        """The detector with the head, for a tracer."""
        stage, candidates = self.model.stage, self.options["candidates"]
        rules = candidates, suppress, self.accept
        return ExportableDetector(self.detector, stage.heads[self.head], *rules)

    def finds(self, model: Restored) -> Finds:
        """What the head of a model like this one finds, as job=predict has it."""

        def found(trial: Trial) -> list[Detections]:
            stage = model.stage
            detector = that_sees_pictures(stage.detector, ASKED)
            with as_in_a_job():
                return trial.expected(detector, stage.live_heads[self.head], self.accept)

        return found

    def write(
        self,
        output: Path,
        write: Callable[[Path], None],
        opened: Callable[[Path], Finds],
        rounds: bool = False,
    ) -> Agreement:
        """Write a file, once it has been tried (`write_tried`).

        Args:
            output: the file.
            write: writes it.
            opened: loads it.
            rounds: whether it adds up in an order of its own, so that rounding may differ.
        """
        batches = trials(self.pictures.images, self.size)
        tolerance = Tolerance(**self.options["tolerance"])
        exact = (lambda: self.finds(in_double_precision(self.model))) if rounds else None
        parts = write, opened, self.finds(self.model), batches, self.pictures.source, tolerance
        return write_tried(output, *parts, exact)
