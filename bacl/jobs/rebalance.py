"""job=rebalance: a balanced classifier for another toolkit's trained detector, in its own file."""

from pathlib import Path

from omegaconf import DictConfig, open_dict

from bacl.assembly.build import build_head, with_calibration
from bacl.assembly.data import build_data, open_data
from bacl.assembly.instantiate import instantiate
from bacl.assembly.one_process import require_one_process
from bacl.assembly.trainer import prepare_process
from bacl.checkpoints.handover import Categories
from bacl.detectors.any_detector import FIRST
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.options.composed import last_stage, plain
from bacl.rebalance.adapter import Adapter
from bacl.rebalance.carried_on import THEIRS, carry_on
from bacl.rebalance.dump import Dump
from bacl.rebalance.toolkit_scores import ToolkitScores
from bacl.runs.folder import exclusive
from bacl.runs.head_choice import WITH, chooses
from bacl.runs.run_through import Fitted, fit

ONE = {FIRST: 1.0}
"""The levels of a detector that was dumped."""


def run(config: DictConfig, folder: Path) -> float:
    """Dump, train the heads on it, choose, hand the chosen one back; returns AP of the first head.

    Whatever of it is there is not made again: shards of the dump, a finished training.
    """
    _check(config)
    prepare_process()
    adapter = instantiate(config.rebalance, Adapter)
    with exclusive(folder):
        with exclusive(adapter.folder):
            _prepare(config, adapter)
        fitted = fit(config, folder)
        _hand_back(folder, fitted, adapter)
    return fitted.value


def _check(config: DictConfig) -> None:
    """Refuse what has no end.

    Raises:
        OptionError: several processes, no head that is the other classifier as it came, or several
            beside it of which none is chosen.
    """
    require_one_process(config, "a dump is trained on in minutes")
    heads = config.stages[last_stage(config)].heads
    others = [name for name in heads if name != THEIRS]
    if THEIRS not in heads:
        raise OptionError(f"stages.….heads: no `{THEIRS}`, the classifier as it came: adapter=…")
    if not chooses(config) and len(others) != 1:
        raise OptionError(
            f"balance=none: {', '.join(others)} are trained and none is chosen to be handed back: "
            "balance=rebalance, or leave all but one out, as in "
            "'~stages.classifier.heads.carried_on'"
        )


def _prepare(config: DictConfig, adapter: Adapter) -> None:
    """Complete the dump, and what heads start from beside it.

    Raises:
        OptionError: a head is not scored by the dump's rule.
    """
    categories = Categories.of(open_data(config))
    name = last_stage(config)
    dump = adapter.dump(build_data(config, config.stages[name]))
    dump.check(categories.ids)
    with open_dict(config):
        config.detector.feature_dim = dump.description.feature_dim
    said = plain(config)
    nodes = said["stages"][name]["heads"].items()
    heads = {
        key: build_head(with_calibration(node, said["calibration"]), ONE) for key, node in nodes
    }
    for key, head in heads.items():
        _check_rule(key, head, dump)
    path = Path(said["stages"][name]["init"]["detector"])
    carry_on(path, dump, heads[THEIRS], categories, said)


def _check_rule(name: str, head: Head, dump: Dump) -> None:
    rule, calibration = dump.description.rule, head.calibration
    own = calibration.rule if isinstance(calibration, ToolkitScores) else type(calibration).__name__
    if own != rule:
        raise OptionError(
            f"stages.classifier.heads.{name}: scored by {own}, and {dump.folder} is of a {rule} "
            "classifier: leave calibration to the adapter=… that fits the dump"
        )


def _hand_back(folder: Path, fitted: Fitted, adapter: Adapter) -> None:
    """Write the chosen head, or the only one beside theirs, for the other toolkit."""
    heads = fitted.run.stage.live_heads
    name = fitted.chosen or next(name for name in heads if name != THEIRS)
    head, _, calibrated = name.partition(WITH)
    (classifier,) = heads[head].classifiers
    calibration = classifier.calibration
    if calibrated and fitted.choice is not None:
        calibration = fitted.choice.calibrations[calibrated]
    assert isinstance(calibration, ToolkitScores)
    weight, bias = calibration.cpu().fold(classifier.predictor.cpu())
    path = adapter.hand_back(folder, weight, bias)
    print(f"{name}, for the other toolkit, which loads it as its own: {path}")
