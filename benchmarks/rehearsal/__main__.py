"""A training at LVIS's size without LVIS, with interruptions, and what each process holds.

    python benchmarks/rehearsal                      # 100,000 images, 1,000 steps of each stage
    python benchmarks/rehearsal --images 3000 --scenes 300 --categories 100 --steps 60

The built-in generator draws scenes; each becomes many images of the annotation file by hard links,
so that file, table, samplers and start-up have their real size and the disk holds some thousand
pictures. The annotation table is opened cold and warm. Both stages train with the demo's detector,
BACL's head and repeat factors; the first is told to end (SIGTERM), the second killed (SIGKILL), and
the same command goes on both times. At last random detections in as many images as LVIS v1 has in
its validation are evaluated. `make bench` leaves it out: it takes the better part of an hour.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pictures import scenes, write_split
from processes import Command

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
RATE = 0.004
"""A tenth of the demo's: so short a training from scratch would diverge."""
SIZES = {"images": 100_000, "val_images": 19_809, "scenes": 4000, "categories": 1203}


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Both splits, with what they took."""
    start = time.process_time()
    number = options.scenes, max(2, options.scenes // 8)
    drawn = scenes(folder / "scenes", options.categories, *number)
    print(f"{options.scenes} scenes drawn in {time.process_time() - start:.0f} CPU seconds")
    splits = {
        "train": (drawn.train_annotations, drawn.train_images, options.images),
        "val": (drawn.val_annotations, drawn.val_images, options.val_images),
    }
    for name, (annotations, pictures, images) in splits.items():
        start = time.process_time()
        written = write_split(annotations, pictures, folder, name, images)
        size = (folder / f"{name}.json").stat().st_size / 2**20
        seconds = time.process_time() - start
        print(
            f"{name}: {images:,} images, {written:,} objects, {size:.0f} MiB, {seconds:.0f} CPU s"
        )


def open_tables(annotations: Path) -> None:
    """Cold and warm, each in a process of its own."""
    for label in ("cold", "warm"):
        words = [sys.executable, str(HERE.parent / "table.py"), "--open", str(annotations)]
        told = subprocess.run(words, check=True, capture_output=True, encoding="utf-8").stdout
        print(f"annotation table, {label}: {told.splitlines()[-2].strip()}")


def training(folder: Path, options: argparse.Namespace) -> list[str]:
    """The command of both stages."""
    stages = [
        text
        for stage in ("representation", "classifier")
        for text in (
            f"stages.{stage}.schedule.epochs=1",
            f"stages.{stage}.schedule.milestones=[]",
            f"stages.{stage}.schedule.learning_rate={RATE}",
        )
    ]
    return [
        *(sys.executable, str(ROOT / "run.py"), "+experiment=bacl_demo", "data=custom"),
        *("sampler=repeat_factor", "checkpoint_every_minutes=0.5", "datamodule.num_workers=2"),
        *(f"data.root={folder}", f"hydra.run.dir={folder / 'run'}"),
        *(f"trainer.limit_train_batches={options.steps}", "trainer.limit_val_batches=50"),
        *("trainer.enable_progress_bar=false", "report.images=1", *stages),
        *options.override,
    ]


def train(folder: Path, options: argparse.Namespace) -> None:
    """Both stages, interrupted in each."""
    words, run = training(folder, options), folder / "run"

    def saved(stage: str) -> bool:
        return (run / stage / "last.ckpt").exists()

    ends = (
        ("told to end in the first stage", lambda: saved("representation"), signal.SIGTERM),
        ("killed in the second", lambda: saved("classifier"), signal.SIGKILL),
        ("to the end", lambda: False, signal.SIGTERM),
    )
    for told, ended, by in ends:
        command = Command(words, folder / "run.log").run(ended, by)
        done = ", ".join(str(rows(path)) for path in sorted(run.glob("*/metrics.csv")))
        print(f"{told}: {command.seconds:.0f} s, exit {command.code}, rows of metrics.csv: {done}")
        print("\n".join(command.told()), flush=True)
        if command.code and not command.signalled:
            sys.exit((folder / "run.log").read_text(encoding="utf-8")[-2000:])
    for path in sorted(run.glob("*/final.ckpt")):
        print(f"{path.relative_to(run)}: {path.stat().st_size / 2**20:.1f} MiB")


def rows(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, size in SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=size)
    parser.add_argument("--steps", type=int, default=1000, help="of each stage; 0: the data alone")
    parser.add_argument("--detections", type=int, default=300, help="random ones of an image")
    parser.add_argument(
        "--folder", type=Path, help="for data and run, new or of a rehearsal before"
    )
    parser.add_argument("override", nargs="*", help="further words of the training's command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "val.json").exists():
            prepare(folder, options)
        if options.steps:
            rehearse(folder, options)


def rehearse(folder: Path, options: argparse.Namespace) -> None:
    """All of it, of data that are there."""
    open_tables(folder / "train.json")
    train(folder, options)
    words = [sys.executable, str(HERE / "evaluation.py"), str(folder / "val.json")]
    subprocess.run([*words, str(options.detections)], check=True)


if __name__ == "__main__":
    main()
