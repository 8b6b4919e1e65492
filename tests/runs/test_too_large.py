"""A step that does not fit into the device's memory."""

from types import SimpleNamespace

import pytest
import torch

from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.jobs import fit
from bacl.runs.too_large import TooLargeError, too_large


def trainer(images: int, processes: int, gathered: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        datamodule=SimpleNamespace(batch_size=images),
        world_size=processes,
        accumulate_grad_batches=gathered,
        global_step=7,
        strategy=SimpleNamespace(root_device="cuda:0"),
    )


@pytest.mark.parametrize(
    ("images", "processes", "gathered", "mend"),
    [
        (16, 1, 1, "datamodule.batch_size=8 trainer.accumulate_grad_batches=2"),
        (16, 4, 2, "datamodule.batch_size=8 trainer.accumulate_grad_batches=4"),
        (12, 4, 1, "datamodule.batch_size=4 trainer.accumulate_grad_batches=3"),
    ],
)
def test_it_names_a_smaller_batch_that_learns_from_as_many_images_a_step(
    images, processes, gathered, mend
):
    told = str(too_large(trainer(images, processes, gathered), torch.OutOfMemoryError()))
    assert f"at step 7, with {images // processes} images a process" in told
    assert mend in told


def test_a_single_image_cannot_be_halved():
    told = str(too_large(trainer(4, 4), torch.OutOfMemoryError()))
    assert "1 image a process" in told
    assert "batch_size" not in told
    assert "bf16-mixed" in told


def test_other_errors_are_not_of_memory():
    assert too_large(trainer(16, 1), RuntimeError("out of memory")) is None


def test_a_run_says_so(tiny, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FasterRCNN, "training_regions", full)
    with pytest.raises(TooLargeError, match="at step 0, with 4 images a process"):
        fit.run(tiny(), tmp_path)
