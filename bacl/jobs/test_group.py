"""job=test_group: many job=test of one checkpoint, in one pass over the validation images.

The launcher (`bacl.launchers.one_pass_launcher`) starts it in the group's folder, where
variants.yaml lists the jobs. They differ in calibrations and suppression alone.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bacl.assembly.build import instantiate, prepare_process
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides
from bacl.assembly.restored_on_data import restore_on_data
from bacl.detectors.postprocess import Postprocess
from bacl.one_pass.variants import PlannedTest, read_variants
from bacl.options.composed import plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.evaluated import evaluate
from bacl.runs.naming import test_folder
from bacl.runs.run import Run
from bacl.stages.detection import Variant


def run(config: DictConfig, folder: Path) -> None:
    """Evaluate every variant once; leave each job the results of an evaluation of its own."""
    began = time.monotonic()
    prepare_process()
    tests = read_variants(folder)
    restored = restore_on_data(config, folder, command_overrides())
    last, report = Run.of(restored), plain(restored.config)["report"]
    owned = [variants(test, restored, number) for number, test in enumerate(tests)]
    together = {name: each for own in owned for name, (_, each) in own.items()}
    found = evaluate(last, report, together)
    seconds = time.monotonic() - began
    annotations = Path(restored.config.data.val.annotations)
    for test, own in zip(tests, owned, strict=True):
        results = {head: found[name] for name, (head, _) in own.items()}
        place = last.folder / test_folder(annotations, test.overrides)
        conclusion = Conclusion.of(last, results, report, place)
        conclusion.write()
        conclusion.note_done(place, restored.name, seconds)


def variants(
    test: PlannedTest, restored: Restored, number: int
) -> Mapping[str, tuple[str, Variant]]:
    """The heads of one test: name in the evaluation of all, name of the head, and what is varied.

    Args:
        test: one of the tests.
        restored: the finished stage.
        number: of the test, which tells its variants from the others'.
    """
    described = test.described(restored.config)
    factory: Any = instantiate(described.detector.postprocess)
    postprocess: Postprocess = factory(decode=restored.stage.detector.postprocess.decode)
    heads = described.stages[restored.name].heads
    return {
        f"{head}_{number}": (
            head,
            Variant(head, restored.calibration(node, described), postprocess),
        )
        for head, node in heads.items()
    }
