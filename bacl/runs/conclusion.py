"""What is left of an evaluation: files of results, which must be written, pictures and a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self

import rich
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.callbacks.classifier_recorder import weight_norms
from bacl.data.datamodule import DetectionDataModule
from bacl.evaluation.errors.suspicions import LabelSuspicions
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.results_writer import ResultsWriter
from bacl.heads import Head
from bacl.loggers.exhibits import Figure, show, show_made
from bacl.messages.dispensable import Dispensable
from bacl.options.sections import Report
from bacl.reporting.exhibits import evaluation_exhibits
from bacl.reporting.html.contents import write_page
from bacl.reporting.html.section import Source
from bacl.reporting.label_errors import suspected, write_label_errors
from bacl.reporting.results import RunResults
from bacl.runs.drawings import draw
from bacl.runs.folder import environment, write_text
from bacl.runs.outcome import write_done
from bacl.runs.run import Run
from bacl.runs.shown_images import samples_of


@dataclass(frozen=True)
class Conclusion:
    """What is written of the variants of a stage."""

    folder: Path
    """results.json, results.md and the other files of `RunResults.write`, label_errors.csv, and
    figures/*.png go there."""
    evaluations: Mapping[str, Evaluation]
    heads: Mapping[str, Head]
    """Of the variants, by their names."""
    data: DetectionDataModule
    report: Report
    """Which variant the others are compared with, and what is drawn and saved."""
    loggers: Sequence[Logger] = ()
    """Figures are shown in these."""
    step: int = 0
    """Of the training, for the loggers."""

    @classmethod
    def of(
        cls,
        run: Run,
        evaluations: Mapping[str, Evaluation],
        report: Report,
        folder: Path | None = None,
    ) -> Self:
        """Of heads of a run as they are; `folder` stands for that of the stage."""
        heads = {name: run.stage.live_heads[name] for name in evaluations}
        trainer = run.trainer
        loggers, step = trainer.loggers, trainer.global_step
        return cls(folder or run.folder, evaluations, heads, run.data, report, loggers, step)

    @property
    def ordered(self) -> dict[str, Evaluation]:
        """The evaluations, the one that the others are compared with first."""
        first = self.report["reference"]
        names = sorted(self.evaluations, key=lambda name: name != first)
        return {name: self.evaluations[name] for name in names}

    @rank_zero_only
    def write(self) -> None:
        """Write what was found, then draw and print it, which cannot end the run.

        Raises:
            UnwritableError: a file of results cannot be written; the same command tries again.
        """
        if self.report["save_detections"]:
            self._save_detections()
        norms = weight_norms(self.heads, self.data.statistics.num_categories)
        results = RunResults(self.ordered, self.data.statistics, norms)
        results.write(self.folder, self.data.val_table.category_ids)
        write_text(self.folder / "results.md", results.markdown())
        if doubts := suspected(self.ordered, self.report["label_errors"]):
            write_label_errors(self.folder / "label_errors.csv", doubts, self.data.val_table)
        for path in draw(self.folder, self.ordered, self.heads, self.data, self.report):
            show(self.loggers, {f"figures/{path.stem}": Figure(path)}, self.step)
        self._show_exhibits(doubts)
        with Dispensable("not shown") as shown, shown.part("table of results"):
            rich.print(results.console_table())
            print(f"Results, AP per category and pictures: {self.folder}")

    def _show_exhibits(self, doubts: Sequence[LabelSuspicions]) -> None:
        """Pictures with boxes to switch, and tables, in the loggers that can show them."""
        shown = samples_of(self.ordered, self.data, self.report)
        samples = (sample for _, sample in islice(shown, self.report["images"]))
        makers = evaluation_exhibits(
            self.ordered, self.data.statistics, self.data.val_table, doubts, lambda: samples,
            self.report["score_threshold"],
        )  # fmt: skip
        show_made(self.loggers, makers, self.step)

    @rank_zero_only
    def write_page(self) -> None:
        """Write report.html, of what was found and of all files that are there by now.

        It can be done without: where it cannot be written that is told, and does not end the run.
        """
        if not self.report["html"]:
            return
        found, data, threshold = self.ordered, self.data, self.report["score_threshold"]
        pictures = partial(samples_of, found, data, self.report)
        source = Source(self.folder, found, data, environment(), pictures, threshold)
        with Dispensable(f"{self.folder}: not written") as pages, pages.part("report.html"):
            write_page(self.folder / "report.html", named(self.folder), source)
            print(f"All of it as one page, for a browser: {self.folder / 'report.html'}")

    @rank_zero_only
    def note_done(self, folder: Path, stage: str, seconds: float) -> None:
        """Mark a run as finished.

        Args:
            folder: of the run.
            stage: its last one.
            seconds: wall time of this process.
        """
        results = {name: each.values for name, each in self.evaluations.items()}
        first = next(iter(self.evaluations.values()))
        write_done(folder, stage, results, seconds, first.measures, first.part)

    def _save_detections(self) -> None:
        """Every variant's detections in the LVIS results format."""
        for name, evaluation in self.evaluations.items():
            path = self.folder / f"detections_{name}.json.gz"
            with ResultsWriter(path, self.data.val_table) as writer:
                writer.write_columns(evaluation.detections)


def named(folder: Path) -> str:
    """What a page of the results in a folder is called: the run's name, setting, seed and stage."""
    parts = folder.absolute().parts
    inside = parts[len(parts) - parts[::-1].index("runs") :] if "runs" in parts else parts[-2:]
    return " · ".join(inside)
