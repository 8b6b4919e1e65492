"""Which of a run's heads to take: chosen by the validation images, and written alone."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
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
from bacl.evaluation.thresholds.objectives import Objective
from bacl.files.atomic import remove
from bacl.heads import Calibration
from bacl.messages.dispensable import Dispensable
from bacl.messages.errors import OptionError, UserError, in_one_line
from bacl.options.composed import last_stage, plain
from bacl.options.ranges import Share, Whole
from bacl.reporting.choice_table import ChoiceResults
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import write_text
from bacl.runs.kept_thresholds import chosen_thresholds
from bacl.runs.lost_heads import lost
from bacl.runs.run import Run
from bacl.stages import DetectionStage
from bacl.stages.detection import Variant

WITH = " + "
"""Between the names of a head and of a calibration."""


class HeadChoice:
    """Chooses among the heads of a run's last stage, as they are and with calibrations.

    Args:
        criterion: what is compared.
        price: how much lower than the reference's the most frequent group's value may be; None: by
            whatever it is.
        calibrated: the best heads by the images that choose, so many, are judged with each of the
            calibrations too, and so is the reference; 0: no head is.
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

    def choose(self, run: Run, config: DictConfig, found: Mapping[str, Evaluation]) -> str:
        """Choose, tell why, write what is chosen as the run's final.ckpt; every process calls it.

        Returns:
            The head's name, or that of a head and of a calibration with WITH between them.

        Args:
            run: of the last stage, finished.
            config: of the run.
            found: of the heads as they are, with the detections of all images.

        Raises:
            OptionError: there is no such measure as the criterion reads.
        """
        first = self._choice(run, config, found)
        variants, untried = self._with_calibrations(run, first)
        quiet = build_trainer(config, run.folder, run.stage.schedule, logs=False)
        silent, report = replace(run, trainer=quiet), plain(config)["report"]
        objective = instantiate(config.thresholds, Objective)
        judged = partial(evaluate, silent, report, keeps_all=True, in_full=False)
        more = judged(variants, objective=objective) if variants else {}
        heads = {name: variants[name].head for name in more}
        last = self._choice(run, config, {**found, **more}, heads)
        part = next(iter(found.values())).part
        results = ChoiceResults(last, untried, part, lost(run.stage))
        self._conclude(run, config, results, {**found, **more}[results.decision.chosen])
        return results.decision.chosen

    def _choice(
        self,
        run: Run,
        config: DictConfig,
        found: Mapping[str, Evaluation],
        heads: Mapping[str, str] | None = None,
    ) -> Choice:
        rules: Any = next(iter(run.stage.metrics.values())).rules
        names = run.data.val_table.category_names
        samples = {name: Sample.of(each, rules, names) for name, each in found.items()}
        asked = config.report.reference
        reference = asked if asked in found else next(iter(found))
        heads = {name: name for name in found} | dict(heads or {})
        return Choice(samples, self.criterion, reference, self.price, heads, self.calibrated)

    def _with_calibrations(self, run: Run, choice: Choice) -> tuple[dict[str, Variant], list[str]]:
        """What is judged with calibrations, and what cannot be, in words.

        These are the heads that lead by all images or by a half of them, and the reference.
        """
        if not self.calibrated:
            return {}, []
        ids = (None, *choice.halves)
        leading = dict.fromkeys(name for images in ids for name in choice.leading(images))
        variants, untried = {}, []
        for head in leading:
            for name, calibration in self.calibrations.items():
                if told := misfit(run.stage, head, calibration):
                    untried.append(f"{head}{WITH}{name}: {told}")
                else:
                    variants[f"{head}{WITH}{name}"] = Variant(head, calibration)
        return variants, untried

    @rank_zero_only
    def _conclude(
        self, run: Run, config: DictConfig, results: ChoiceResults, best: Evaluation
    ) -> None:
        folder, chosen = run.folder.parent, results.decision.chosen
        for name in ("choice.json", "choice.md"):  # never beside another choice's checkpoint
            remove(folder / name)
        save_alone(folder / "final.ckpt", run, config, chosen, best)
        write_text(folder / "choice.md", results.markdown())
        results.write_json(folder / "choice.json")
        with Dispensable("not shown") as shown, shown.part("table of the choice"):
            rich.print(results.console_table())
            print(f"Written as {folder / 'final.ckpt'}; why: {folder / 'choice.md'}")


def misfit(stage: DetectionStage, head: str, calibration: Calibration) -> str:
    """Why a calibration makes no scores of a head's logits; empty where it does."""
    try:
        try_calibration(stage.live_heads[head], calibration, stage.detector.feature_dim)
    except UserError as error:
        return in_one_line(error)
    return ""


def save_alone(path: Path, run: Run, config: DictConfig, variant: str, found: Evaluation) -> None:
    """Write the detector and the variant's head alone, with a configuration that says so.

    Its thresholds of scores, which are of `found`, are in it from the beginning: a file that is
    left by a kill, beside an earlier DONE, can be used.
    """
    said, stage = plain(config), run.folder.name
    head, _, calibration = variant.partition(WITH)
    node = said["stages"][stage]["heads"][head]
    if calibration:
        node = node | {"calibration": said["choice"]["calibrations"][calibration]}
    said["stages"][stage]["heads"] = {head: node}
    said["report"]["reference"] = said["choice"] = None
    heads = {head: run.stage.live_heads[head]}
    thresholds = {name: own.plain() for name, own in chosen_thresholds({head: found}).items()}
    save_stage(path, run.stage.detector, heads, run.categories, said, thresholds)


def chooses(config: DictConfig) -> bool:
    """Whether a choice is asked for, and the stage is run whose heads there are."""
    return config.get("choice") is not None and last_stage(config) == list(config.stages)[-1]


def chooser(config: DictConfig) -> HeadChoice | None:
    """What chooses, once the data have said how many categories there are; see `chooses`."""
    return instantiate(config.choice, HeadChoice) if chooses(config) else None
