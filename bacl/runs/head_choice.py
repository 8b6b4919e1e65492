"""Which of a run's heads to take: chosen by the validation images, and written alone."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import build_trainer
from bacl.assembly.trial import try_calibration
from bacl.checkpoints.handover import save_stage
from bacl.evaluation.choice import Choice
from bacl.evaluation.criteria import Criterion
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.sample import Sample
from bacl.heads import Calibration
from bacl.messages.dispensable import Dispensable
from bacl.messages.errors import OptionError, UserError
from bacl.options.composed import last_stage, plain
from bacl.options.ranges import Share, Whole
from bacl.reporting.choice_table import ChoiceResults
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import write_text
from bacl.runs.run import Run
from bacl.stages import DetectionStage
from bacl.stages.detection import Variant

_log = logging.getLogger(__name__)

WITH = " + "
"""Between the names of a head and of a calibration."""


class HeadChoice:
    """Chooses among the heads of a run's last stage, as they are and with calibrations.

    Args:
        criterion: what is compared.
        price: how much lower than the reference's the most frequent group's value may be; None: by
            whatever it is.
        calibrated: the best heads, so many, are judged with each of the calibrations too, and so is
            the reference.
        calibrations: by name, of the kind that gathers nothing.

    Raises:
        OptionError: a calibration that gathers.
    """

    def __init__(
        self,
        criterion: Criterion,
        calibrations: Mapping[str, Calibration],
        calibrated: Whole = 3,
        price: Share | None = None,
    ) -> None:
        if gathering := [name for name, each in calibrations.items() if each.gathers]:
            raise OptionError(
                f"choice.calibrations.{gathering[0]}: gathers on training images, which a choice "
                "among many does not; evaluate it by itself: job=test calibration=…"
            )
        self.criterion = criterion
        self.price = price
        self.calibrated = calibrated
        self.calibrations = {name: each.eval() for name, each in calibrations.items()}

    def choose(self, run: Run, config: DictConfig, found: Mapping[str, Evaluation]) -> None:
        """Choose, tell why, and write the winner as the run's final.ckpt; every process calls it.

        Args:
            run: of the last stage, finished.
            config: of the run.
            found: of the heads as they are, with the detections of all images.

        Raises:
            OptionError: there is no such measure as the criterion reads.
        """
        reference = config.report.reference or next(iter(found))
        variants = self._with_calibrations(run, self._choice(run, reference, found))
        quiet = build_trainer(config, run.folder, run.stage.schedule, logs=False)
        silent, report = replace(run, trainer=quiet), plain(config)["report"]
        more = evaluate(silent, report, variants, keeps_all=True) if variants else {}
        self._conclude(run, config, self._choice(run, reference, {**found, **more}), variants)

    def _choice(self, run: Run, reference: str, found: Mapping[str, Evaluation]) -> Choice:
        rules: Any = next(iter(run.stage.metrics.values())).rules
        samples = {name: Sample.of(each, rules) for name, each in found.items()}
        return Choice(samples, self.criterion, reference, self.price)

    def _with_calibrations(self, run: Run, choice: Choice) -> dict[str, Variant]:
        """The best heads and the reference, each with every calibration that it can have."""
        values = {name: self.criterion.value(each) for name, each in choice.samples.items()}
        best = sorted(values, key=lambda name: -values[name])[: self.calibrated]
        return {
            f"{head}{WITH}{name}": Variant(head, calibration)
            for head in dict.fromkeys([choice.reference, *best])
            for name, calibration in self.calibrations.items()
            if fits(run.stage, head, calibration)
        }

    @rank_zero_only
    def _conclude(
        self, run: Run, config: DictConfig, choice: Choice, variants: Mapping[str, Variant]
    ) -> None:
        folder, winner = run.folder.parent, choice.best()
        own = [name for name, each in variants.items() if each.head == choice.reference]
        results = ChoiceResults(choice, winner, [choice.reference, *own])
        write_text(folder / "choice.md", results.markdown())
        results.write_json(folder / "choice.json")
        save_alone(folder / "final.ckpt", run, config, winner)
        with Dispensable("not shown") as shown, shown.part("table of the choice"):
            rich.print(results.console_table())
            print(f"Written as {folder / 'final.ckpt'}; why: {folder / 'choice.md'}")


def fits(stage: DetectionStage, head: str, calibration: Calibration) -> bool:
    """Whether a calibration makes scores of a head's logits."""
    try:
        try_calibration(stage.live_heads[head], calibration, stage.detector.feature_dim)
    except UserError as error:
        _log.debug("%s is not tried on %s: %s", type(calibration).__name__, head, error)
        return False
    return True


def save_alone(path: Path, run: Run, config: DictConfig, variant: str) -> None:
    """Write the detector and the variant's head alone, with a configuration that says so."""
    said, stage = plain(config), run.folder.name
    head, _, calibration = variant.partition(WITH)
    node = said["stages"][stage]["heads"][head]
    if calibration:
        node = node | {"calibration": said["choice"]["calibrations"][calibration]}
    said["stages"][stage]["heads"] = {head: node}
    said["report"]["reference"] = said["choice"] = None
    heads = {head: run.stage.live_heads[head]}
    save_stage(path, run.stage.detector, heads, run.categories, said)


def chooser(config: DictConfig) -> HeadChoice | None:
    """What chooses, if that is asked for and the stage is run whose heads there are."""
    if config.get("choice") is None or last_stage(config) != list(config.stages)[-1]:
        return None
    return instantiate(config.choice, HeadChoice)
