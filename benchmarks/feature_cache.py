"""An epoch of both stages with a frozen ViT, with and without cache=features, in CPU seconds.

    python benchmarks/feature_cache.py --backbone vit_small_patch16_dinov3 --side 224

The built-in data (16 pictures, made in a temporary folder) and the tiny detector of its experiment
on a plain ViT of random weights; one thread, no workers. The first epoch with the cache computes
and writes, the second reads. CPU seconds are the process's, so that others on the machine hardly
count. Weights with and without are compared to the bit.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Callback
from omegaconf import DictConfig

from bacl.assembly.build import build_stage
from bacl.assembly.data import build_data, open_data
from bacl.assembly.trainer import feature_caching, measuring_trainer
from bacl.callbacks.lightning_messages import tidy_messages
from bacl.command.overview import CONF

EPOCHS = 2
STAGES = ("representation", "classifier")
DATA = (
    "data.builder.num_categories=12",
    "data.builder.num_train=16",
    "data.builder.num_val=6",
    "data.builder.objects_per_image=[4,6]",
)


class Clock(Callback):
    """CPU seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        """Start."""
        self.started = time.process_time()

    def on_train_epoch_end(self, *_: object) -> None:
        """Take the time."""
        self.seconds.append(time.process_time() - self.started)


def composed(root: str, backbone: str, side: int) -> DictConfig:
    sized = [
        f"stages.{stage}.augment.train={{short_sides:[{side}],max_size:{side}}}" for stage in STAGES
    ]
    epochs = [f"stages.{stage}.schedule={{epochs:{EPOCHS},milestones:[]}}" for stage in STAGES]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(
            "config",
            overrides=[
                "+experiment=bacl_demo",
                "detector=faster_rcnn_vit",
                f"detector.backbone.name={backbone}",
                f"data.root={root}/data",
                f"data.builder.image_size={side}",
                "datamodule.batch_size=4",
                "trainer=cpu",
                "cache=features",
                f"cache.folder={root}/features",
                *(*DATA, *sized, *epochs),
            ],
        )


def trained(config: DictConfig, name: str, caching: Sequence[Callback]) -> tuple[list[float], dict]:
    """CPU seconds of the epochs, and the state at their end."""
    data, clock = build_data(config, config.stages[name]), Clock()
    stage = build_stage(config, name, pretrained=False)
    trainer = measuring_trainer(config, stage.schedule, [clock, *caching])
    trainer.fit(stage, datamodule=data)
    return clock.seconds, stage.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="vit_small_patch16_dinov3")
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tidy_messages()
    with tempfile.TemporaryDirectory() as root:
        config = composed(root, options.backbone, options.side)
        open_data(config)
        print(f"{'CPU s of an epoch':<18}{'without':>9}{'writes':>9}{'reads':>9}{'on disk':>11}")
        for name in STAGES:
            without, plain = trained(config, name, [])
            (first, second), cached = trained(config, name, feature_caching(config))
            differing = [
                key
                for key, value in plain.items()
                if isinstance(value, torch.Tensor) and not torch.equal(value, cached[key])
            ]
            if differing:
                raise AssertionError(f"{name}: weights differ: {differing[:3]}")
            size = sum(path.stat().st_size for path in Path(root, "features").rglob("*.pt"))
            times = f"{min(without):>9.1f}{first:>9.1f}{second:>9.1f}"
            print(f"{name:<18}{times}{size / 1e6:>8.1f} MB", flush=True)


if __name__ == "__main__":
    main()
