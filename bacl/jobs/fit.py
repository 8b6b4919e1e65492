"""job=fit: the stages of the configuration in order, then the evaluation of the last."""

import time
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.restored import command_overrides
from bacl.evaluation.thresholds.objectives import Objective
from bacl.options.composed import last_stage, plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import exclusive
from bacl.runs.head_choice import chooser, chooses
from bacl.runs.kept_thresholds import keep_thresholds
from bacl.runs.lost_heads import lost, lost_heads_error
from bacl.runs.outcome import note_failed
from bacl.runs.training import train_stages


def run(config: DictConfig, folder: Path) -> float:
    """Train what is not finished, evaluate, report, choose; returns AP of the first head.

    Raises:
        LostHeadsError: heads failed beside others, of which there are results; where one of many is
            chosen, those that fail are only left out.
    """
    began = time.monotonic()
    with exclusive(folder):
        last = train_stages(config, folder, drops_heads=True, leaves_out=chooses(config))
        choice, report = chooser(config), plain(config)["report"]
        objective = instantiate(config.thresholds, Objective)
        found = evaluate(last, report, keeps_all=choice is not None, objective=objective)
        conclusion = Conclusion.of(last, found, report)
        conclusion.write()
        keep_thresholds(last.final, found)
        if choice is not None:
            choice.choose(last, config, found)
        conclusion.write_page()
        if choice is None and (reasons := lost(last.stage)):
            error = lost_heads_error(reasons, last, command_overrides(), config)
            note_failed(folder, str(error))
            raise error
        conclusion.note_done(folder, last_stage(config), time.monotonic() - began)
    return next(iter(found.values())).values["AP"]
