"""A run from its configuration to its conclusion: stages, evaluation, report and choice."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.instantiate import instantiate
from bacl.assembly.restored import command_overrides
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.thresholds.objectives import Objective
from bacl.options.composed import last_stage, plain
from bacl.runs.conclusion import Conclusion
from bacl.runs.evaluated import evaluate
from bacl.runs.head_choice import HeadChoice, chooser, chooses
from bacl.runs.kept_thresholds import keep_thresholds
from bacl.runs.lost_heads import lost, lost_heads_error, note_failed
from bacl.runs.run import Run
from bacl.runs.training import train_stages


@dataclass(frozen=True)
class Fitted:
    """What a run came to."""

    run: Run
    """Of its last stage, as it was saved."""
    found: Mapping[str, Evaluation]
    """Of its heads as they are."""
    choice: HeadChoice | None
    """That was asked for."""
    chosen: str | None
    """By it: see `HeadChoice.choose`."""

    @property
    def value(self) -> float:
        """AP of the first head."""
        return next(iter(self.found.values())).values["AP"]


def fit(config: DictConfig, folder: Path) -> Fitted:
    """Train what is not finished, evaluate, report, choose; the folder is this process' own.

    Raises:
        LostHeadsError: heads failed beside others, of which there are results; where one of many is
            chosen, those that fail are only left out.
    """
    began = time.monotonic()
    last = train_stages(config, folder, drops_heads=True, leaves_out=chooses(config))
    choice, report = chooser(config), plain(config)["report"]
    objective = instantiate(config.thresholds, Objective)
    found = evaluate(last, report, keeps_all=choice is not None, objective=objective)
    conclusion = Conclusion.of(last, found, report)
    conclusion.write()
    keep_thresholds(last.final, found)
    chosen = None if choice is None else choice.choose(last, config, found)
    conclusion.write_page()
    if choice is None and (reasons := lost(last.stage)):
        error = lost_heads_error(reasons, last, command_overrides(), config)
        note_failed(folder, str(error))
        raise error
    conclusion.note_done(folder, last_stage(config), time.monotonic() - began)
    return Fitted(last, found, choice, chosen)
