from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch.nn.modules.batchnorm import _BatchNorm

from bacl.data.batch import Batch
from bacl.losses import FollowsEpochs
from bacl.stages import ClassifierStage
from bacl.stages.optimizers import _may_fuse

FROZEN = ("detector.backbone.", "detector.fpn.", "detector.box_head.")
BACL = "heads.bacl.first."
ALONE = "~stages.classifier.heads.baseline"
WITHOUT_BACL = "~stages.classifier.heads.bacl"
ONE_STEP = "trainer.limit_train_batches=1"


class Gradients(Callback):
    """Names of the parameters that got a gradient other than zero."""

    def __init__(self):
        self.names: set[str] = set()

    def on_after_backward(self, trainer, pl_module):
        named = pl_module.named_parameters()
        self.names |= {n for n, p in named if p.grad is not None and bool(p.grad.any())}


class Modes(Callback):
    """Whether each module was in training mode during a step."""

    def on_after_backward(self, trainer, pl_module):
        self.training = {name: module.training for name, module in pl_module.named_modules()}


class WithoutObjects(Callback):
    """Takes the objects away from the first `count` images of every batch."""

    def __init__(self, count: int):
        self.count, self.losses = count, []

    def on_train_batch_start(self, trainer, pl_module, batch: Batch, batch_idx):
        for target in batch.targets[: self.count]:
            target.boxes, target.labels = target.boxes[:0], target.labels[:0]

    def on_before_backward(self, trainer, pl_module, loss):
        self.losses.append(dict(pl_module.step_losses))


def changed(before: dict, after: dict) -> set[str]:
    """Names of the state's entries that are not bit for bit as before."""
    return {name for name, value in before.items() if not same(value, after[name])}


def same(first, second) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return first == second


def test_gradients_of_the_representation_stage_reach_every_parameter(bench):
    gradients = Gradients()
    stage = bench("representation", ONE_STEP).fit(gradients)
    assert {name for name, _ in stage.named_parameters()} == gradients.names


def test_frozen_stages_of_the_backbone_get_no_gradient(bench, snapshot):
    table = bench("representation", "detector.backbone.frozen_stages=1", ONE_STEP)
    before, gradients = snapshot(table.stage), Gradients()
    stage = table.fit(gradients)
    frozen = tuple(f"detector.backbone.{name}." for name in ("conv1", "bn1", "layer1"))
    assert gradients.names == {n for n, _ in stage.named_parameters() if not n.startswith(frozen)}
    assert not [n for n in changed(before, stage.state_dict()) if n.startswith(frozen)]


def test_the_classifier_stage_changes_the_heads_rpn_and_box_regression_only(bench, snapshot):
    table = bench("classifier")
    before, gradients, modes = snapshot(table.stage), Gradients(), Modes()
    stage = table.fit(gradients, modes)
    moved = changed(before, stage.state_dict())
    assert not [name for name in moved if name.startswith(FROZEN)]
    learned = {name for name, parameter in stage.named_parameters() if parameter.requires_grad}
    assert learned == {n for n, _ in stage.named_parameters() if not n.startswith(FROZEN)}
    assert learned == gradients.names
    assert learned <= moved
    statistics = {"prototypes", "variances", "seen", "_extra_state"}
    assert {f"{BACL}hallucination.{name}" for name in statistics} <= moved
    assert f"{BACL}criterion.indicator.numerator" in moved
    training = {name for name, on in modes.training.items() if on}
    assert not [n for n in training if f"{n}.".startswith(FROZEN)]
    assert {
        "detector.rpn.head",
        "detector.box_regression",
        "heads.bacl.first.criterion",
    } <= training


def test_batch_norms_of_the_frozen_extractor_stay_in_eval_mode(bench):
    stage = bench("classifier").stage.train()
    norms = [module for module in stage.modules() if isinstance(module, _BatchNorm)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert not any(p.requires_grad for p in stage.detector.backbone.parameters())


# Heads that differ in loss, hallucination, margin and jittered boxes, beside the one compared.
OTHERS = (
    "+head@stages.classifier.heads.mild=bacl",
    "stages.classifier.heads.mild.loss.alpha=0.3",
    "+head@stages.classifier.heads.more=bacl",
    "stages.classifier.heads.more.hallucination={categories:4,samples:3}",
    "+head@stages.classifier.heads.shared=bacl",
    "stages.classifier.heads.shared.hallucination.box_generator.shared=true",
)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("head", ["bacl", "baseline"])
def test_a_head_ends_bit_for_bit_the_same_alone_and_beside_others(bench, head, precision):
    others, computed = ALONE if head == "bacl" else WITHOUT_BACL, f"trainer.precision={precision}"
    alone = bench("classifier", others, computed).fit()
    together = bench("classifier", *OTHERS, computed).fit()
    assert len(together.heads) == 5
    assert len(alone.heads) == 1
    assert not changed(alone.heads[head].state_dict(), together.heads[head].state_dict())
    assert not changed(alone.detector.state_dict(), together.detector.state_dict())
    for other in ("mild", "shared"):
        assert changed(together.heads[other].state_dict(), together.heads["bacl"].state_dict())


class Groups(Callback):
    """Initial learning rate and weight decay of every part, and the first one's rate by step."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        groups = optimizer.param_groups
        self.found = {g["name"]: (g["initial_lr"], g["weight_decay"]) for g in groups}
        self.rates.append(groups[0]["lr"])


def test_parts_train_at_their_rates_for_the_images_of_a_step(bench):
    groups = Groups()
    schedule = bench(
        "classifier", "head.learning_rate=0.004", "head.weight_decay=0.05",
        "stages.classifier.schedule={warmup_steps:4,warmup_factor:0.2}",
        "trainer.accumulate_grad_batches=2",
    ).fit(groups).schedule  # fmt: skip
    images = 2 * 4 / schedule.reference_batch  # two batches of four
    rate = schedule.learning_rate * images
    usual = (pytest.approx(rate), schedule.weight_decay)
    bacl = (pytest.approx(0.004 * images), 0.05)
    assert groups.found == {"detector": usual, "heads.bacl": bacl, "heads.baseline": usual}
    assert groups.rates == pytest.approx([0.2 * rate, 0.4 * rate])  # four batches are two steps


def test_rates_drop_after_the_epochs_of_the_milestones(bench):
    dropping = "stages.classifier.schedule={epochs:3,milestones:[1,2],gamma:0.5,reference_batch:4}"
    stage = bench("classifier", dropping).stage
    data = SimpleNamespace(batch_size=4)
    stage.trainer = SimpleNamespace(
        datamodule=data,
        accumulate_grad_batches=1,
        estimated_stepping_batches=12,
        precision_plugin=None,
    )
    built, rates = stage.configure_optimizers(), []
    for _ in range(12):
        rates.append(built["optimizer"].param_groups[0]["lr"] / stage.schedule.learning_rate)
        built["optimizer"].step()
        built["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([1] * 4 + [0.5] * 4 + [0.25] * 4)


def test_another_seed_gives_other_weights(bench):
    first, second = (bench("classifier", ALONE, f"seed={seed}").fit() for seed in (0, 1))
    moved = changed(first.state_dict(), second.state_dict())
    assert {f"{BACL}predictor.weight", "detector.box_regression.fc.weight"} <= moved


@pytest.mark.parametrize("name", ["representation", "classifier"])
@pytest.mark.parametrize("count", [1, 4], ids=["one image", "every image"])
def test_images_without_objects_train_on_background(bench, name, count):
    empty = WithoutObjects(count)
    stage = bench(name, "trainer.limit_train_batches=2").fit(empty)
    losses = [value for step in empty.losses for value in step.values()]
    assert len(empty.losses) == 2
    assert all(bool(loss.isfinite()) for loss in losses)
    assert all(bool(p.isfinite().all()) for p in stage.parameters())
    if name == "classifier":
        seen = stage.heads["bacl"].classifiers[0].hallucination.seen
        assert bool(seen.any()) == (count < 4)


class Dropped(Callback):
    """Drops a head whose weights are no numbers, as one that diverged; keeps its gradients."""

    def on_train_start(self, trainer, pl_module):
        pl_module.dropped = {"baseline"}
        torch.nn.init.constant_(
            pl_module.heads["baseline"].classifiers[0].predictor.weight, torch.nan
        )

    def on_after_backward(self, trainer, pl_module):
        self.gradients = [parameter.grad for parameter in pl_module.heads["baseline"].parameters()]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_before_a_fused_optimiser_too(bench, monkeypatch, precision):
    weights = []
    for fused in (False, True):
        monkeypatch.setattr("bacl.stages.optimizers._may_fuse", lambda *args, fused=fused: fused)
        options = (f"trainer.precision={precision}", "trainer.gradient_clip_val=0.001")
        stage = bench("classifier", ONE_STEP, *options).fit()
        assert bool(stage.optimizers().defaults["fused"]) is fused
        weights.append(stage.detector.box_regression.fc.weight.detach())
    torch.testing.assert_close(*weights, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("device", "precision", "fuses"),
    [("cuda", "32-true", True), ("cuda", "bf16-mixed", True), ("cuda", "16-mixed", False),
     ("cpu", "32-true", False)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*GradScaler is enabled, but CUDA")
def test_optimisers_are_fused_on_gpus_whose_gradients_are_not_scaled(device, precision, fuses):
    plugin = Precision() if precision == "32-true" else MixedPrecision(precision, device)
    assert _may_fuse(torch.device(device), plugin) is fuses


def test_a_dropped_head_takes_part_with_gradients_of_zero(bench):
    dropped = Dropped()
    stage = bench("classifier", ONE_STEP).fit(dropped)
    assert {each.head for each in stage.step_losses} == {None, "bacl"}
    # Processes that reduce gradients together wait for those of every parameter.
    assert all(gradient is not None and not gradient.any() for gradient in dropped.gradients)
    assert stage.heads["bacl"].classifiers[0].predictor.weight.isfinite().all()


def test_validation_measures_every_head_without_changing_anything(bench, snapshot):
    table = bench("classifier", "trainer.limit_val_batches=2")
    before = snapshot(table.stage)
    measures = table.measures(table.trainer())
    for head in ("bacl", "baseline"):
        for key in ("AP", "APr", "APc", "AR@300"):
            assert -1 <= measures[f"val/{head}/{key}"] <= 1
    assert table.stage.metrics["bacl"].per_category()["AP"].shape == (12,)
    assert table.stage.metrics["bacl"].part == "4 of 6 images"  # no others are missed
    assert not changed(before, table.stage.state_dict())


def test_detections_of_every_head_are_in_pixels_of_the_file(bench):
    smaller = "stages.classifier.augment.train={short_sides:[64],max_size:64}"
    table = bench("classifier", smaller, "detector.postprocess.score_threshold=0")
    batch = next(iter(table.data.val_dataloader()))
    assert batch.sizes[0] == (64, 64)
    found = table.stage.eval().detect(batch)
    assert set(found) == {"bacl", "baseline"}
    for detections in found.values():
        boxes = torch.cat([image.boxes for image in detections])
        assert 64 < boxes.max() <= 96


def test_an_impossible_stage_is_refused(bench):
    stage = bench("classifier").stage
    options = {
        "detector": stage.detector, "schedule": stage.schedule, "metric": None,
        "trainable": ["heads.*"], "seed": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="at least one classifier head"):
        ClassifierStage(heads={}, **options)
    ClassifierStage(heads=dict(stage.heads), **options)
    ClassifierStage(heads={"bce": stage.heads["baseline"]}, **options)


class Told(FollowsEpochs, torch.nn.Module):
    """Notes which epochs it is told of."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.epochs.append((epoch, epochs))


def test_parts_of_heads_are_told_of_every_epoch(bench):
    table, told = bench("classifier"), Told()
    table.stage.heads["bacl"].classifiers[0].told = told
    table.fit()
    assert list(dict.fromkeys(told.epochs)) == [(0, 1)]
