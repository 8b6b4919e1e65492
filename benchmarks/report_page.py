"""Size of report.html, and how fast a browser shows it, for as many categories as LVIS has.

    python benchmarks/report_page.py [--categories 1203] [--heads 13] [--page report.html]

Detections are drawn by chance; pictures are those of the built-in data with the grain of a
photograph, as bytes are. Needs chromium and chromedriver (Debian: chromium, chromium-driver) for
the times. They are of one process with other work beside it: the best of five.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from bacl.reporting.html.contents import write_page
from tests.reporting.html.browser import Browser, browser, missing
from tests.reporting.html.made import made_data, made_source

GRAIN = 14  # standard deviation of a pixel
TIMES = "const [e] = performance.getEntriesByType('navigation'); return e.domContentLoadedEventEnd"
SORT = """
  const began = performance.now();
  document.querySelector('.rows th:nth-child(6) button').click();
  document.body.getBoundingClientRect();
  return performance.now() - began"""
OPEN = """
  const began = performance.now();
  location.hash = '#category=7';
  return new Promise((done) => requestAnimationFrame(() => setTimeout(() =>
    done(performance.now() - began))))"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--categories", type=int, default=1203)
    parser.add_argument("--heads", type=int, default=13)
    parser.add_argument("--train", type=int, default=1500, help="training images")
    parser.add_argument("--val", type=int, default=800, help="validation images")
    parser.add_argument("--copies", type=int, default=30, help="detections of an object")
    parser.add_argument("--page", type=Path, help="keep the page here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder), options)
        tell_size(path)
        if missing():
            print(f"No times: {missing()}")
        else:
            tell_times(path, Path(folder))
        if options.page:
            shutil.copy(path, options.page)


def make(folder: Path, options: argparse.Namespace) -> Path:
    paths = made_data(folder / "data", options.categories, options.train, options.val, 192, 2)
    for images in (paths.train_images, paths.val_images):
        for number, path in enumerate(sorted(images.iterdir())):
            roughen(path, number)
    shares = np.linspace(0.5, 0.9, options.heads)
    heads = {f"head_{number}": share for number, share in enumerate(shares.tolist())}
    source = made_source(folder / "run", paths, heads, options.copies)
    began = time.perf_counter()
    write_page(folder / "report.html", "Made", source)
    print(f"writing: {time.perf_counter() - began:.1f} s")
    return folder / "report.html"


def roughen(path: Path, seed: int) -> None:
    pixels = np.asarray(Image.open(path).convert("RGB"), float)
    grain = np.random.default_rng(seed).normal(0, GRAIN, pixels.shape)
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(path)


def tell_size(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    print(f"size: {len(text.encode()) / 1e6:.1f} MB")
    for key, block in re.findall(r'id="data-(\w+)">(.*?)</script>', text, re.DOTALL):
        print(f"  {key}: {len(block) / 1e6:.2f} MB")


def tell_times(path: Path, folder: Path) -> None:
    with browser(folder) as window:
        window.resize(1280, 900)
        found = [measured(window, path) for _ in range(5)]
    for place, title in enumerate(("ready", "first sort", "first category")):
        times = sorted(each[place] for each in found)
        print(f"{title}: {times[0]:.0f} ms (slowest {times[-1]:.0f})")


def measured(window: Browser, path: Path) -> tuple[float, float, float]:
    window.leave()
    window.open(path)
    return window.run(TIMES), window.run(SORT), window.run(OPEN)


if __name__ == "__main__":
    main()
