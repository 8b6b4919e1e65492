"""The results of a test of a finished stage, and the model with what its calibrations gathered."""

from collections.abc import Mapping

from omegaconf import DictConfig

from bacl.assembly.rebuilt import Restored
from bacl.files.kinds import CALIBRATED
from bacl.runs.conclusion import Conclusion
from bacl.runs.gathered import keep_gathered
from bacl.runs.kept_thresholds import keep_thresholds
from bacl.stages.detection import Variant


def write_test(
    conclusion: Conclusion,
    restored: Restored,
    variants: Mapping[str, Variant],
    gathering: DictConfig | None,
) -> None:
    """Write results, then the model where its calibrations had yet to gather, then the page.

    Args:
        conclusion: of what was found.
        restored: the stage.
        variants: that were evaluated, one for each of its heads.
        gathering: the configuration of a model whose calibrations have gathered in this evaluation;
            None where they had nothing to gather.
    """
    conclusion.write()
    if gathering is not None:
        keep_gathered(conclusion.folder, restored, variants, gathering)
        keep_thresholds(conclusion.folder / CALIBRATED, conclusion.evaluations)
    conclusion.write_page()
