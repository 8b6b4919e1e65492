"""job=test_group: many job=test of one checkpoint, in one pass over the validation images.

The launcher (`bacl.launchers.one_pass_launcher`) starts it in the group's folder, where
variants.yaml lists the jobs. They differ in calibrations and suppression alone.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides
from bacl.assembly.restored_on_data import restore_on_data
from bacl.assembly.trainer import prepare_process
from bacl.assembly.trial import try_calibration
from bacl.detectors.postprocess import Postprocess
from bacl.evaluation.thresholds.objectives import Objective
from bacl.heads.calibration import Uncalibrated
from bacl.messages.errors import UserError
from bacl.one_pass.variants import PlannedTest, read_variants
from bacl.options.composed import plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.evaluated import evaluate
from bacl.runs.lost_heads import note_failed
from bacl.runs.naming import test_folder
from bacl.runs.run import Run
from bacl.runs.written_test import write_test
from bacl.stages.detection import Variant
from bacl.stages.gathering import waiting


def run(config: DictConfig, folder: Path) -> None:
    """Evaluate every variant once; leave each job the results of an evaluation of its own.

    What cannot be evaluated fails alone: its folder says why.
    """
    began = time.monotonic()
    prepare_process()
    planned = read_variants(folder)
    restored = restore_on_data(config, folder, command_overrides())
    last, report = Run.of(restored), plain(restored.config)["report"]
    tests = _possible(planned, restored, last)
    together = {name: each for test in tests.values() for name, each in test.variants.items()}
    objective = instantiate(restored.config.thresholds, Objective)
    last.stage.failed_variants.tolerated = len(tests) > 1
    found = evaluate(last, report, together, objective=objective) if together else {}
    seconds = time.monotonic() - began
    for place, test in tests.items():
        if reasons := last.stage.failed_variants.told_of(test.variants):
            note_failed(place, reasons)
            continue
        results = {each.head: found[name] for name, each in test.variants.items()}
        conclusion = Conclusion.of(last, results, report, place)
        write_test(conclusion, restored, test.variants, test.gathering)
        conclusion.note_done(place, restored.name, seconds)


@dataclass(frozen=True)
class _PossibleTest:
    """A test whose parts could be made."""

    variants: Mapping[str, Variant]
    """By their names in the evaluation of all."""
    gathering: DictConfig | None
    """The configuration of a model whose calibrations have yet to gather; None where none has."""


def _possible(
    planned: Sequence[PlannedTest], restored: Restored, last: Run
) -> dict[Path, _PossibleTest]:
    """Tests by their folders; the folder of one that cannot be says why."""
    annotations, possible = Path(restored.config.data.val.annotations), {}
    for number, test in enumerate(planned):
        place = last.folder / test_folder(annotations, test.overrides)
        try:
            own = variants(test, restored, number)
            gathers = waiting(last.stage.live_heads, own)
            gathering = test.described(restored.config) if gathers else None
            possible[place] = _PossibleTest(own, gathering)
        except UserError as error:
            note_failed(place, str(error))
    return possible


def variants(test: PlannedTest, restored: Restored, number: int) -> dict[str, Variant]:
    """The heads of one test, by their names in the evaluation of all.

    Args:
        test: one of the tests.
        restored: the finished stage.
        number: of the test, which tells its variants from the others'.

    Raises:
        UserError: one of them cannot be.
    """
    described = test.described(restored.config)
    detector = restored.stage.detector
    decode = detector.postprocess.decode
    postprocess = instantiate(described.detector.postprocess, Postprocess, decode=decode)
    made = {}
    for name, node in described.stages[restored.name].heads.items():
        head = restored.stage.live_heads[name]
        calibration = restored.calibration(node, described) or Uncalibrated()
        if not calibration.waits:
            try_calibration(head, calibration, detector.feature_dim)
        made[f"{name}_{number}"] = Variant(name, calibration, postprocess)
    return made
