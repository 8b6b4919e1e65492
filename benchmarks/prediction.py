"""Pictures per second of job=predict, with all that it reads, writes and draws, and of its network.

Run: python benchmarks/prediction.py [--checkpoint final.ckpt --images photos] [--threads 1]
     [--workers 1] [--pictures 64] [--batch 4] [--repeats 2]

The network alone is given batches that are in memory already. Without a checkpoint a `small`
detector with random weights looks at built-in pictures; it finds 300 objects in each.
"""

import argparse
import contextlib
import io
import re
import shutil
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import bacl
from bacl.assembly.build import build_stage
from bacl.assembly.data import open_data
from bacl.checkpoints.handover import Categories, save_stage
from bacl.data.images.image_folder import FoundImages, find_images
from bacl.inference.computing import as_in_a_job
from bacl.jobs import predict
from bacl.options.composed import plain
from bacl.prediction.picture_source import PictureSource

CONF = Path(__file__).resolve().parents[1] / "conf"
SUMMARY = re.compile(r"\d+ pictures in [\d.]+ s \(([\d.]+)/s\): (.*)")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["trainer=cpu", *overrides])


def random_small(folder: Path) -> tuple[Path, Path]:
    """A checkpoint of random weights and the folder of pictures that its data have."""
    config = composed("+experiment=bacl_demo", f"data.root={folder / 'data'}", "stage=classifier")
    categories = Categories.of(open_data(config))
    stage = build_stage(config, "classifier", pretrained=False)
    path = folder / "final.ckpt"
    save_stage(path, stage.detector, dict(stage.heads.items()), categories, plain(config))
    return path, Path(config.data.val.images)


def some(images: Path, count: int, folder: Path) -> FoundImages:
    """The first pictures, as links in a folder of their own."""
    found = find_images(str(images))
    for name in found.names[:count]:
        (folder / name.replace("/", "_")).symlink_to((found.folder / name).absolute())
    return find_images(str(folder))


def network(model: bacl.Model, found: FoundImages, batch: int) -> float:
    """Pictures per second."""
    restored = model.restored
    source = PictureSource(str(found.folder), found, batch, 0)
    read = list(source.batches(restored.augmentation.test, restored.reading))
    batches = [each.batch for each in read if each.batch is not None]
    with as_in_a_job():
        restored.stage.detect(batches[0])
        start = time.perf_counter()
        for each in batches:
            restored.stage.detect(each)
    return sum(len(each.targets) for each in batches) / (time.perf_counter() - start)


def job(checkpoint: Path, found: FoundImages, arguments: argparse.Namespace, folder: Path) -> str:
    """What the job says of its speed."""
    config = composed(
        "job=predict", f"checkpoint={checkpoint}", f"predict.images={found.folder}",
        f"predict.output={folder / 'out'}", "predict.outputs=[lvis,coco,yolo]",
        "predict.pictures=null", f"datamodule.num_workers={arguments.workers}",
        f"datamodule.val_batch_size={arguments.batch}", "trainer.enable_progress_bar=false",
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()) as said:
        predict.run(config, folder)
    shutil.rmtree(folder / "out")
    return said.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=Path)
    for name, default in (("threads", 1), ("workers", 1), ("pictures", 64), ("batch", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        checkpoint, images = arguments.checkpoint, arguments.images
        if checkpoint is None:
            checkpoint, images = random_small(folder)
        (folder / "pictures").mkdir()
        found = some(images, arguments.pictures, folder / "pictures")
        model = bacl.load(checkpoint)
        for _ in range(arguments.repeats):  # in turns: other work on the machine comes and goes
            print(f"network alone: {network(model, found, arguments.batch):.1f} pictures/s")
            told = SUMMARY.search(job(checkpoint, found, arguments, folder))
            assert told is not None
            print(f"job=predict:   {told[1]} pictures/s ({told[2]})", flush=True)


if __name__ == "__main__":
    main()
