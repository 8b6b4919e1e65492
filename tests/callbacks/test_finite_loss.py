import math
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bacl.callbacks.finite_loss import DivergedError, FiniteLoss, NonFiniteLossError
from bacl.heads.failures import Failures
from bacl.loggers.csv_logger import CSVLogger
from bacl.loggers.measurements import Quantity
from bacl.processes.agreement import Agreement


def test_finite_losses_train_to_the_end_and_write_nothing(fit, tmp_path):
    trainer = fit(FiniteLoss(Agreement()))
    assert trainer.global_step == 8
    assert not list(tmp_path.glob("*.pt"))


def test_error_names_loss_step_rate_and_images(fit, stage):
    stage.nan_at = 5
    with pytest.raises(NonFiniteLossError) as error:
        fit(FiniteLoss(Agreement()), stage=stage)
    message = str(error.value)
    assert "box is nan at step 5 of epoch 1, learning rate 0.02, images [102, 103]" in message
    assert "bacl/classification" not in message


def test_saved_step_loads_with_weights_only(fit, stage, tmp_path):
    stage.nan_at = 1
    with pytest.raises(NonFiniteLossError, match=r"non_finite_loss\.pt"):
        fit(FiniteLoss(Agreement()), stage=stage)
    content = torch.load(tmp_path / "non_finite_loss.pt", weights_only=True)
    assert content["image_ids"] == [102, 103]
    assert content["losses"]["box"] != content["losses"]["box"]
    assert (content["epoch"], content["step"], content["learning_rates"]) == (0, 1, [0.02])
    assert content["images"].shape == (2, 3, 4, 4)
    assert content["targets"][1]["boxes"].tolist() == [[1, 2, 9, 8]]
    stage.load_state_dict(content["state_dict"])


def test_weights_are_those_before_the_bad_step(fit, stage, tmp_path):
    stage.nan_at = 0
    before = stage.heads["bce"].classifiers[0].predictor.weight.detach().clone()
    with pytest.raises(NonFiniteLossError):
        fit(FiniteLoss(Agreement()), stage=stage)
    content = torch.load(tmp_path / "non_finite_loss.pt", weights_only=True)
    assert torch.equal(content["state_dict"]["heads.bce.first.predictor.weight"], before)


def _check_in_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    trainer = SimpleNamespace(
        default_root_dir=folder, global_step=3, current_epoch=0, optimizers=[]
    )
    module = torch.nn.Linear(1, 1)
    module.failed_heads = Failures()
    module.step_losses = {"box": torch.tensor(float("inf") if rank else 1.0)}
    with pytest.raises(NonFiniteLossError, match=r"^box is inf at step 3.*rank1\.pt"):
        FiniteLoss(Agreement()).on_before_backward(trainer, module, torch.tensor(1.0))
    dist.destroy_process_group()


def test_every_process_stops_when_one_loss_is_infinite(tmp_path):
    mp.start_processes(_check_in_process, (str(tmp_path),), nprocs=2, start_method="fork")
    assert [path.name for path in tmp_path.glob("*.pt")] == ["non_finite_loss_rank1.pt"]


@pytest.mark.parametrize("last", [None, "b"])  # the detector's loss, the last head's
def test_an_error_of_a_head_that_was_dropped_is_not_a_later_step_s(tmp_path, last):
    trainer = SimpleNamespace(
        default_root_dir=tmp_path, global_step=3, current_epoch=0, optimizers=[]
    )
    module = torch.nn.Linear(1, 1)
    module.failed_heads, module.dropped = Failures(), set()
    module.failed_heads.tolerated, module.live_heads = True, dict.fromkeys("ab")
    callback, loss = FiniteLoss(Agreement()), torch.tensor(1.0)

    def check(*wrong):
        parts = {None: "box", "a": "classification", "b": "classification"}
        module.step_losses = {
            Quantity("train", head, part): torch.tensor(math.nan if head in wrong else 1.0)
            for head, part in parts.items()
            if head is None or head in module.live_heads
        }
        callback.on_before_backward(trainer, module, loss)

    with module.failed_heads.of(["a"]):
        raise ValueError("long ago")
    check("a")
    assert module.dropped == {"a"}
    module.live_heads, trainer.global_step = {"b": None}, 4000
    with pytest.raises(NonFiniteLossError, match=r"is nan at step 4000"):
        check(last)


class Finalized(CSVLogger):
    status = None

    def finalize(self, status):
        self.status = status


@pytest.fixture
def fail(fit, stage, tmp_path):
    """Lets the first step fail: (error, features of the network) -> diagnosis."""

    def run(error, features):
        def step(batch, batch_idx):
            raise error

        stage.training_step = step
        stage.detector = SimpleNamespace(pyramid=lambda images, sizes: [torch.tensor(features)])
        callback, logger = FiniteLoss(Agreement()), Finalized(tmp_path)
        with pytest.raises(type(error)) as caught:
            fit(callback, stage=stage, logger=logger)
        assert caught.value is error
        assert logger.status == "failed"
        return callback.diagnosis

    return run


def test_divergence_is_diagnosed_and_lightning_cleans_up(fail, tmp_path):
    diagnosis = fail(FloatingPointError("bad box"), [1.0, float("nan")])
    assert isinstance(diagnosis, DivergedError)
    assert "at step 0, learning rate 0.02: training has diverged" in str(diagnosis)
    assert "clip gradients" in str(diagnosis)
    content = torch.load(tmp_path / "non_finite_loss.pt", weights_only=True)
    assert content["image_ids"] == [100, 101]


NO_PROBE = [torch.OutOfMemoryError("memory is full"), NonFiniteLossError("box is nan")]
if hasattr(torch, "AcceleratorError"):
    NO_PROBE.append(torch.AcceleratorError("device-side assert", 710))


@pytest.mark.parametrize("error", NO_PROBE, ids=lambda error: type(error).__name__)
def test_no_look_at_the_features_where_the_cause_is_known(fail, tmp_path, error):
    assert fail(error, [float("nan")]) is None
    assert not list(tmp_path.glob("*.pt"))


def test_other_errors_of_a_healthy_network_are_left_alone(fail, tmp_path):
    assert fail(ValueError("a mistake"), [1.0]) is None
    assert not list(tmp_path.glob("*.pt"))
