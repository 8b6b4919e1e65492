"""job=export: a finished stage in another project's format."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from bacl.checkpoints.handover import Categories
from bacl.checkpoints.mmdet import published_state
from bacl.checkpoints.mmdet_file import write_published
from bacl.errors import OptionError
from bacl.jobs.build import build_stage, chosen_stages, only_head, open_categories, prepare_process
from bacl.jobs.fit import restore
from bacl.stages import DetectionStage


def mmdet(stage: DetectionStage, head: str, categories: Categories, output: Path) -> None:
    """A file that MMDetection and the paper's release load."""
    state = published_state(stage.detector, stage.heads[head])
    write_published(output, state, tuple(categories.names))


FORMATS: dict[str, tuple[str, Callable[[DetectionStage, str, Categories, Path], None]]] = {
    "mmdet": (".pth", mmdet),
}
"""`export.format`: suffix of the file, and what writes it from one head of a stage."""


def run(config: DictConfig, folder: Path) -> None:
    """Write `checkpoint=…`, or the run's own last stage, as `export.format` to `export.output`.

    Raises:
        OptionError: there is no such format, or the stage has several heads.
    """
    prepare_process()
    if config.export.format not in FORMATS:
        known = ", ".join(FORMATS)
        raise OptionError(f"export.format={config.export.format}: unknown; formats are {known}")
    suffix, write = FORMATS[config.export.format]
    table = open_categories(config)
    name = chosen_stages(config)[-1]
    path = Path(config.checkpoint or folder / name / "final.ckpt")
    output = Path(config.export.output or path.with_suffix(suffix))
    stage = build_stage(config, name, pretrained=False)
    head = only_head(stage, name)
    categories = Categories(table.category_ids.tolist(), list(table.category_names))
    restore(stage, path, categories)
    write(stage, head, categories, output)
    print(f"{path} -> {output}: stage {name}, head {head}, format {config.export.format}")
