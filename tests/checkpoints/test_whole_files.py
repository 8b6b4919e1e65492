"""A damaged last.ckpt is told in one line: which file to delete, and what is lost."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.whole_files import Restoring, WholeFiles, not_restored

TOLD = r"last\.ckpt: the stage cannot go on from this file: .*delete it, and the stage starts anew"


class Numbers(Dataset[Tensor]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        return torch.ones(2) * index


class Line(LightningModule):
    """Asks for the number of its steps before its optimiser's state is restored, as stages do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.layer(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        assert self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def trained(folder: Path, steps: int, path: Path | None = None) -> Trainer:
    """Trains for so many steps; an error is told as a run tells it."""
    restoring = Restoring()
    trainer = Trainer(
        accelerator="cpu", max_steps=steps, logger=False, plugins=[WholeFiles()],
        enable_progress_bar=False, enable_checkpointing=False, default_root_dir=folder,
        enable_model_summary=False, callbacks=[restoring],
    )  # fmt: skip
    try:
        trainer.fit(Line(), DataLoader(Numbers()), ckpt_path=path, weights_only=path and True)
    except Exception as error:
        raise not_restored(trainer, restoring, error) or error from error
    return trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("trained")
    trained(folder, 2).save_checkpoint(folder / "last.ckpt")
    return (folder / "last.ckpt").read_bytes()


@pytest.fixture
def path(tmp_path, whole) -> Path:
    (tmp_path / "last.ckpt").write_bytes(whole)
    return tmp_path / "last.ckpt"


def test_a_whole_file_is_taken_up(path):
    assert trained(path.parent, 4, path).global_step == 4


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02cos\nsystem\n.", bytes(300)])
def test_other_files_are_told(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=TOLD):
        trained(path.parent, 4, path)


def test_cut_files_and_bits_that_fell_over_are_told(path, whole):
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=TOLD):
        trained(path.parent, 4, path)
    damaged = bytearray(whole)
    for at in range(200, len(whole), 997):
        damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=TOLD):
        trained(path.parent, 4, path)


def test_a_final_checkpoint_in_its_place_is_called_that(path):
    torch.save({"detector": {}, "heads": {}, "categories": {}}, path)
    with pytest.raises(CheckpointError, match=r"from this file: a final\.ckpt; delete"):
        trained(path.parent, 4, path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match=r"from this file: no checkpoint of a training"):
        trained(path.parent, 4, path)


PARTS = ("state_dict", "loops", "optimizer_states", "epoch", "global_step")
OPTIMISER = ("optimizer_states", 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((*OPTIMISER, "state", 0), [1]),
        ((*OPTIMISER, "state", 0, "momentum_buffer"), "x"),
        ((*OPTIMISER, "state", 0, "momentum_buffer"), torch.zeros(3)),
        ((*OPTIMISER, "state"), None),
        ((*OPTIMISER, "param_groups", 0), {}),
        ((*OPTIMISER, "param_groups"), []),
        (("optimizer_states",), [1]),
        (("loops", "fit_loop", "epoch_progress", "total"), [1]),
        (("state_dict", "layer.weight"), torch.zeros(3)),
    ],
)
def test_parts_of_another_kind_are_told_before_the_first_step(path, place, value):
    content = node = torch.load(path, weights_only=True)
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=TOLD) as error:
        trained(path.parent, 4, path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [None, "x", [1], {"fit_loop": 3}], ids=str)
def test_what_lightning_cannot_take_is_told_before_the_first_step(path, part, value):
    content = torch.load(path, weights_only=True)
    content[part] = value
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=TOLD) as error:
        trained(path.parent, 4, path)
    assert "\n" not in str(error.value)


def test_an_error_of_the_training_stays_what_it_is(path, monkeypatch):
    def fail(*_):
        raise KeyError("the power is out")

    monkeypatch.setattr(Line, "training_step", fail)
    for start in (None, path):
        with pytest.raises(KeyError, match="the power is out"):
            trained(path.parent, 4, start)
