"""job=import: a published checkpoint (the paper's release, MMDetection) becomes one of ours."""

from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.build import build_stage, chosen_stages, only_head
from bacl.assembly.data import open_categories
from bacl.assembly.trainer import prepare_process
from bacl.checkpoints.handover import Categories, CheckpointError, save_stage
from bacl.checkpoints.mmdet import load_published
from bacl.checkpoints.mmdet_conventions import require_mmdet_conventions
from bacl.checkpoints.mmdet_file import read_published
from bacl.messages.errors import OptionError
from bacl.runs.folder import plain


def run(config: DictConfig, folder: Path) -> None:
    """Read `checkpoint=…`, write `output=…`: by default the final.ckpt of the run's last stage.

    The classifier goes into the stage's single head. A published file has no category ids: they are
    those of the training annotations, of which no image is needed.

    Raises:
        OptionError: no checkpoint is named, or the stage has several heads.
        CheckpointError: the file does not fit, means something else in this detector, or there is a
            file in place of the output.
    """
    prepare_process()
    if config.checkpoint is None:
        raise OptionError("job=import needs checkpoint=FILE.pth, the published file")
    name = chosen_stages(config)[-1]
    output = Path(config.output or folder / name / "final.ckpt")
    if output.exists():
        raise CheckpointError(f"{output} exists; delete it, or give another output=…")
    file = read_published(Path(config.checkpoint))
    said = f"checkpoint={file.path}"
    require_mmdet_conventions(said, plain(config)["detector"], "take detector=faster_rcnn_…")
    table = open_categories(config)
    categories = Categories.of(table)
    stage = build_stage(config, name, pretrained=False)
    head = only_head(stage, name)
    load_published(file, stage.detector, stage.live_heads[head], categories)
    save_stage(output, stage.detector, dict(stage.heads.items()), categories, plain(config))
    print(
        f"{file.path} -> {output}: stage {name}, head {head}, {len(table.category_ids)} categories"
    )
