import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import PIL.Image
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from bacl.callbacks import classifier_recorder
from bacl.data.batch import Detections, Target
from bacl.data.collate import collate
from bacl.jobs import fit
from bacl.runs import drawings
from bacl.runs.folder import write_text
from bacl.runs.outcome import write_done
from tests.compositions import compose_once

REPOSITORY = Path(__file__).parents[1]
TINY = (
    "+experiment=bacl_demo",
    "data.builder.num_categories=12",
    "data.builder.num_train=16",
    "data.builder.num_val=6",
    "data.builder.image_size=96",
    "data.builder.objects_per_image=[4,6]",
    "data.builder.object_size=[24,36]",
    "stages.representation.augment.train={short_sides:[96],max_size:96}",
    "stages.classifier.augment.train={short_sides:[96],max_size:96}",
    "stages.representation.schedule={epochs:2,milestones:[1],warmup_steps:2}",
    "stages.classifier.schedule={epochs:2,milestones:[1],warmup_steps:2}",
    "detector.backbone.width=8",
    "detector.fpn.channels=16",
    "detector.rpn.channels=16",
    "detector.rpn.training={per_level:50,total:50}",
    "detector.rpn.inference={per_level:50,total:50}",
    "detector.feature_dim=32",
    "datamodule.batch_size=4",
    "datamodule.val_batch_size=2",
    "trainer.log_every_n_steps=1",
    "report.html=false",
)


def pytest_collection_finish():
    """What is imported and collected stays; the garbage collector looks at it no more."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """A user's cache of the tests' own, but for matplotlib, whose list of fonts takes seconds."""
    with pytest.MonkeyPatch.context() as environment:
        if "MPLCONFIGDIR" not in os.environ:
            environment.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _composed_once():
    """What the files of conf/ say is put together once for each choice of files."""
    with pytest.MonkeyPatch.context() as patch:
        compose_once(patch, str(REPOSITORY / "conf"))
        yield


SAVEFIG = Figure.savefig
DRAWN_BY_RUNS = {
    (module, name): drawing
    for module in (drawings, classifier_recorder)
    for name, drawing in vars(module).items()
    if name.startswith("draw_") and hasattr(drawing, "__wrapped__")  # by the look of all figures
}


def _write_blank(path: Path, *_: Any, **__: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.fixture(scope="session", autouse=True)
def _blank_figures():
    """Figures are not rendered, and those of a run not even put together: a third of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda self, path, **_: _write_blank(Path(path)))
        for module, name in DRAWN_BY_RUNS:
            patch.setattr(module, name, _write_blank)
        yield


def _render(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Figure, "savefig", SAVEFIG)
    for (module, name), drawing in DRAWN_BY_RUNS.items():
        patch.setattr(module, name, drawing)


@pytest.fixture
def rendered(monkeypatch):
    """Figures are put together and rendered, for tests of what they look like."""
    _render(monkeypatch)


@pytest.fixture(autouse=True)
def _deterministic():
    torch.manual_seed(0)
    torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data beside the checkout; tests that need it are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the reference data folder {folder}, which is not here")
    return folder


@pytest.fixture(scope="session")
def tiny_overrides(tmp_path_factory) -> list[str]:
    """Command of a run of seconds: 12 categories, 16 + 6 images of 96 pixels, a narrow detector."""
    return [*TINY, f"data.root={tmp_path_factory.mktemp('data') / 'tiny'}"]


@pytest.fixture(scope="session")
def compose_config() -> Callable[..., DictConfig]:
    """Composes conf/ with overrides; what only a started run knows stays unresolved."""

    def composed(*overrides: str) -> DictConfig:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            return compose("config", overrides=list(overrides))

    return composed


@pytest.fixture(scope="session")
def tiny(compose_config, tiny_overrides) -> Callable[..., DictConfig]:
    """Composes the run of `tiny_overrides`, with more overrides."""
    return lambda *overrides: compose_config(*tiny_overrides, *overrides)


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory) -> Path:
    """The folder of a finished run; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        _render(patch)
        fit.run(tiny("report.html=true"), folder)
    return folder


@pytest.fixture(scope="session")
def detections_of() -> Callable:
    """A stage's detections of a picture (3, h, w), padded to `canvas`, in pixels of the picture."""

    def detect(stage, picture, canvas, head):
        nothing = torch.zeros(0, dtype=torch.int64)

        def sample(image):
            size = tuple(image.shape[1:])
            target = Target(0, torch.zeros(0, 4), nothing, size, canvas, size, nothing, nothing)
            return image, target

        # A batch is as large as its largest image.
        full = torch.zeros(3, *canvas, dtype=torch.uint8)
        return stage.detect(collate([sample(picture), sample(full)]))[head][0]

    return detect


@pytest.fixture(scope="session")
def assert_same_detections() -> Callable[[Detections, Detections], None]:
    """Equal to 1e-3 pixels and 1e-5 of a score; scores that close may come in another order."""

    def rows(detections: Detections, kept: torch.Tensor) -> torch.Tensor:
        boxes, scores = detections.boxes[kept], detections.scores[kept]
        return torch.cat((boxes, 100 * scores.unsqueeze(1)), dim=1).double()

    def compared(found: Detections, expected: Detections) -> None:
        for label in expected.labels.unique():
            mine, theirs = found.labels == label, expected.labels == label
            assert mine.sum() == theirs.sum()
            gaps = torch.cdist(rows(found, mine), rows(expected, theirs), p=torch.inf)
            assert gaps.amin(0).max() < 1e-3
            assert gaps.amin(1).max() < 1e-3

    return compared


@pytest.fixture
def mark_done(tmp_path):
    """Make the folder of a finished run of a setting below `tmp_path`, by the AP of its heads."""

    def make(setting: str, seed: int, heads: dict[str, float], *overrides: str) -> None:
        folder = tmp_path / setting / f"seed_{seed}"
        write_text(folder / "config.yaml", "")
        write_done(folder, "classifier", {head: {"AP": ap} for head, ap in heads.items()}, 1.0)
        given = OmegaConf.to_yaml(OmegaConf.create(list(overrides)))
        write_text(folder / ".hydra/overrides.yaml", given)

    return make


@pytest.fixture(scope="session")
def differing() -> Callable[..., list[str]]:
    """Names of what differs, to the bit, between the final checkpoints of two runs."""

    def compared(
        first: Path, second: Path, stages: Sequence[str] = ("representation", "classifier")
    ) -> list[str]:
        names = []
        for stage in stages:
            parts = [_flat(torch.load(run / stage / "final.ckpt")) for run in (first, second)]
            assert parts[0].keys() == parts[1].keys()
            names += [f"{stage}/{k}" for k, v in parts[0].items() if not _same(v, parts[1][k])]
        return names

    return compared


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Weights, buffers and states of generators by name; the configuration names the folder."""
    flat = {}
    for key, value in content.items():
        if isinstance(value, dict) and key != "config":
            flat |= _flat(value, f"{prefix}{key}.")
        elif key != "config":
            flat[prefix + key] = value
    return flat


def _same(first: Any, second: Any) -> bool:
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
