from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bacl.callbacks.finite_loss import FiniteLoss, NonFiniteLossError


def test_finite_losses_train_to_the_end_and_write_nothing(fit, tmp_path):
    trainer = fit(FiniteLoss())
    assert trainer.global_step == 8
    assert not list(tmp_path.glob("*.pt"))


def test_error_names_loss_step_rate_and_images(fit, stage):
    stage.nan_at = 5
    with pytest.raises(NonFiniteLossError) as error:
        fit(FiniteLoss(), stage=stage)
    message = str(error.value)
    assert "box is nan at step 5 of epoch 1, learning rate 0.02, images [102, 103]" in message
    assert "bacl_classification" not in message


def test_saved_step_loads_with_weights_only(fit, stage, tmp_path):
    stage.nan_at = 1
    with pytest.raises(NonFiniteLossError, match=r"non_finite_loss\.pt"):
        fit(FiniteLoss(), stage=stage)
    content = torch.load(tmp_path / "non_finite_loss.pt", weights_only=True)
    assert content["image_ids"] == [102, 103]
    assert content["losses"]["box"] != content["losses"]["box"]
    assert (content["epoch"], content["step"], content["learning_rates"]) == (0, 1, [0.02])
    assert content["images"].shape == (2, 3, 4, 4)
    assert content["targets"][1]["boxes"].tolist() == [[1, 2, 9, 8]]
    stage.load_state_dict(content["state_dict"])


def test_weights_are_those_before_the_bad_step(fit, stage, tmp_path):
    stage.nan_at = 0
    before = stage.heads["bce"].predictor.weight.detach().clone()
    with pytest.raises(NonFiniteLossError):
        fit(FiniteLoss(), stage=stage)
    content = torch.load(tmp_path / "non_finite_loss.pt", weights_only=True)
    assert torch.equal(content["state_dict"]["heads.bce.predictor.weight"], before)


def _check_in_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    trainer = SimpleNamespace(
        default_root_dir=folder, global_step=3, current_epoch=0, optimizers=[]
    )
    module = torch.nn.Linear(1, 1)
    module.step_losses = {"box": torch.tensor(float("inf") if rank else 1.0)}
    with pytest.raises(NonFiniteLossError, match=r"^box is inf at step 3.*rank1\.pt"):
        FiniteLoss().on_before_backward(trainer, module, torch.tensor(1.0))
    dist.destroy_process_group()


def test_every_process_stops_when_one_loss_is_infinite(tmp_path):
    mp.start_processes(_check_in_process, (str(tmp_path),), nprocs=2, start_method="fork")
    assert [path.name for path in tmp_path.glob("*.pt")] == ["non_finite_loss_rank1.pt"]
