"""job=test: evaluate a finished stage on the validation data, without training."""

import time
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.restored import command_overrides
from bacl.assembly.restored_on_data import restore_on_data
from bacl.assembly.trainer import prepare_process
from bacl.detectors.programs import learns_no_more
from bacl.evaluation.thresholds.objectives import Objective
from bacl.messages.errors import OptionError
from bacl.options.comparison import unknown
from bacl.options.composed import plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.evaluated import evaluate
from bacl.runs.naming import test_folder
from bacl.runs.run import Run
from bacl.runs.written_test import write_test
from bacl.stages.gathering import waiting


def run(config: DictConfig, folder: Path) -> float:
    """Evaluate `checkpoint=…`, or the run's own last stage; returns the AP of its first head.

    Model, heads, data and test transform are those of the checkpoint, but for what the command says
    of them; with an experiment they are the command's.

    Results go beside the checkpoint, to `test_<validation file>_<digest of path and overrides>`;
    with them a checkpoint that keeps what a calibration had yet to gather.
    """
    began = time.monotonic()
    prepare_process()
    overrides = command_overrides()
    restored = restore_on_data(config, folder, overrides)
    learns_no_more(restored.stage.detector)
    last, report = Run.of(restored), plain(restored.config)["report"]
    if "report.reference" in {text.partition("=")[0] for text in overrides}:
        _check_reference(report["reference"], set(last.stage.heads))
    variants = last.stage.variants
    gathering = restored.config if waiting(last.stage.live_heads, variants) else None
    objective = instantiate(restored.config.thresholds, Objective)
    found = evaluate(last, report, objective=objective)
    own = last.folder / test_folder(Path(restored.config.data.val.annotations), overrides)
    conclusion = Conclusion.of(last, found, report, own)
    write_test(conclusion, restored, variants, gathering)
    conclusion.note_done(own, restored.name, time.monotonic() - began)
    return next(iter(found.values())).values["AP"]


def _check_reference(reference: str | None, heads: set[str]) -> None:
    if reference is not None and reference not in heads:
        raise OptionError(unknown(f"report.reference={reference}", heads))
