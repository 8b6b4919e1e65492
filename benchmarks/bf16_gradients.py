"""How far gradients under bf16 autocast are from those of float32, as noise and as a bias.

    python benchmarks/bf16_gradients.py --checkpoint runs/bacl_demo/representation/final.ckpt
    python benchmarks/bf16_gradients.py --checkpoint … --rounded-weights

Batches of the demo's representation stage, with the weights of a checkpoint of it, each computed
both ways with the same draws and the same proposals. Of each group of parameters:

    noise  |g' - g| / |g| of a step, root of the mean square
    bias   |mean g' - mean g| / |mean g| over all steps
    chance what the bias would be if steps were off independently of each other

A bias far above chance does not average out in training. With `--rounded-weights` those of all
convolutions and linear layers are rounded to bf16 before both: what then is left is due to
activations and gradients alone.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from bacl.assembly.build import build_stage
from bacl.assembly.data import build_data, open_data
from bacl.data.batch import Batch
from bacl.data.datamodule import DetectionDataModule
from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.files.torch_file import read_torch_file
from bacl.stages import DetectionStage

CONF = Path(__file__).resolve().parents[1] / "conf"
STAGE = "representation"
GROUPS = ("backbone", "fpn", "rpn.head", "box_head", "box_regression", "predictor")


def gradients(
    stage: DetectionStage, batch: Batch, bf16: bool, proposals: object, seed: int
) -> tuple[dict[str, Tensor], object]:
    """Of each parameter, float64; and the proposals, which are those given if any are."""
    detector: FasterRCNN = stage.detector
    select, made = detector.rpn._select, []

    def selected(*arguments):
        made.append(select(*arguments) if proposals is None else proposals)
        return made[0]

    detector.rpn._select = selected
    torch.manual_seed(seed)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        pyramid = detector.pyramid(batch.images, batch.padded_sizes)
        regions = detector.training_regions(pyramid, batch.targets)
        losses = [head.loss(regions.levels) for head in stage.heads.values()]
    del detector.rpn._select
    stage.zero_grad()
    torch.stack([*losses, *regions.losses.values()]).sum().backward()
    learnt = [(name, each.grad) for name, each in stage.named_parameters() if each.requires_grad]
    return {name: gradient.double().clone() for name, gradient in learnt}, made[0]


def prepared(checkpoint: Path | None) -> tuple[DetectionStage, DetectionDataModule]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["+experiment=bacl_demo"])
    open_data(config)
    data = build_data(config, config.stages[STAGE])
    stage = build_stage(config, STAGE, pretrained=False)
    if checkpoint is not None:
        state = read_torch_file(checkpoint)
        stage.detector.load_state_dict(state["detector"])
        for name, head in stage.heads.items():
            head.load_state_dict(state["heads"][name])
    return stage.train(), data


@torch.no_grad()
def round_weights(stage: DetectionStage) -> None:
    """To numbers that bf16 has, so that casting them changes nothing."""
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            for weight in layer.parameters(recurse=False):
                weight.copy_(weight.bfloat16())


def measured(stage: DetectionStage, batches: Iterable[Batch]) -> dict[str, tuple[float, ...]]:
    """Noise, bias and chance of each group, from one step of each batch."""
    precise, half = defaultdict(list), defaultdict(list)
    for number, batch in enumerate(batches):
        found, proposals = gradients(stage, batch, False, None, number)
        others, _ = gradients(stage, batch, True, proposals, number)
        for group in GROUPS:
            names = [name for name in found if group in name]
            precise[group].append(torch.cat([found[name].flatten() for name in names]))
            half[group].append(torch.cat([others[name].flatten() for name in names]))
    return {group: _compared(torch.stack(precise[group]), torch.stack(half[group]))
            for group in GROUPS}  # fmt: skip


def _compared(precise: Tensor, half: Tensor) -> tuple[float, ...]:
    apart, mean = half - precise, precise.mean(0).norm()
    noise = apart.square().sum() / precise.square().sum()
    chance = apart.square().sum().sqrt() / len(apart) / mean
    return noise.sqrt().item(), (apart.mean(0).norm() / mean).item(), chance.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="of the stage; without it, fresh weights")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounded-weights", action="store_true", help="to bf16, before both")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stage, data = prepared(arguments.checkpoint)
    if arguments.rounded_weights:
        round_weights(stage)
    batches = islice(data.train_dataloader(), arguments.steps)
    print(f"{'parameters':18}{'noise':>8}{'bias':>8}{'chance':>8}")
    for group, values in measured(stage, batches).items():
        print(f"{group:18}" + "".join(f"{value:8.4f}" for value in values))


if __name__ == "__main__":
    main()
