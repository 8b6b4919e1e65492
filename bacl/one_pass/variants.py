"""Many evaluations of one finished stage as one: what job=test jobs may differ in.

What is varied is of after the training: the calibration of scores, and the suppression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bacl.assembly.harmless import StoredConfigurationError, harmless
from bacl.assembly.stored import CALIBRATION, calibrate_alike
from bacl.assembly.typed import key_of
from bacl.files.atomic import replacing
from bacl.files.plain_values import MISSING, read_yaml, select
from bacl.messages.errors import UserError, in_one_line
from bacl.one_pass.plan import COUNTED
from bacl.options.composed import without_calls
from bacl.options.marked import node_with
from bacl.options.marks import AFTER_TRAINING

VARIANTS = "variants.yaml"


@dataclass(frozen=True)
class PlannedTest:
    """One job=test of a multirun."""

    overrides: list[str]
    """As an ordinary command would have them."""
    nodes: Mapping[str, Any]
    """What it varies: values by path, interpolations not resolved."""

    @classmethod
    def of(cls, config: DictConfig, overrides: Sequence[str]) -> "PlannedTest":
        """That of a composed command."""
        values = without_calls(config)
        paths = [node for text in overrides if (node := _varied(text))]
        nodes = {path: select(values, path) for path in dict.fromkeys(paths)}
        return cls(list(overrides), {p: None if v is MISSING else v for p, v in nodes.items()})

    def described(self, model: DictConfig) -> DictConfig:
        """The configuration of a restored model, with what is varied."""
        described = model.copy()
        for path, node in self.nodes.items():
            OmegaConf.update(described, path, node, merge=False, force_add=True)
        if CALIBRATION in self.nodes:
            calibrate_alike(described)
        return described


def unvaried(overrides: Sequence[str]) -> list[str]:
    """The overrides that say nothing of what may be varied."""
    return [text for text in overrides if not _varied(text)]


def can_vary(config: DictConfig, overrides: Sequence[str]) -> bool:
    """Whether a composed command can be evaluated beside others of its checkpoint."""
    if config.job != "test" or config.checkpoint is None:
        return False
    nodes = PlannedTest.of(config, overrides).nodes
    try:
        harmless(nodes, Path(VARIANTS), COUNTED, refers=True)
    except StoredConfigurationError:
        return False
    return True


def write_variants(folder: Path, tests: Sequence[PlannedTest]) -> None:
    """Write variants.yaml, as a whole or not at all."""
    entries = [{"overrides": test.overrides, "nodes": dict(test.nodes)} for test in tests]
    with replacing(folder / VARIANTS) as path:
        OmegaConf.save({"variants": entries}, path)


def read_variants(folder: Path) -> list[PlannedTest]:
    """The tests of one evaluation in its folder.

    Raises:
        UserError: there are none, the file is damaged, or asks for more than a file may.
    """
    path = folder / VARIANTS
    if not path.exists():
        raise UserError(f"{folder}: no {VARIANTS}; hydra/launcher=one_pass plans and starts these")
    try:
        tests = [_read(entry, path) for entry in read_yaml(path)["variants"]]
    except UserError:
        raise
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({in_one_line(error)}); delete its folder") from error
    return tests


def _read(entry: dict[str, Any], path: Path) -> PlannedTest:
    overrides, nodes = entry["overrides"], entry["nodes"]
    if not all(isinstance(text, str) for text in (*overrides, *nodes)):
        raise TypeError("overrides and paths are texts")
    if wrong := [key for key in nodes if node_with(AFTER_TRAINING, key) != key]:
        raise ValueError(f"{wrong[0]} cannot be varied after the training")
    return PlannedTest(overrides, harmless(nodes, path, COUNTED, refers=True))


def _varied(override: str) -> str:
    """Path of the node that an override varies, if it can be varied after the training."""
    return node_with(AFTER_TRAINING, key_of(override))
