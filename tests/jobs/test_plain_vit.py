"""A plain ViT through both stages, by the commands of a user."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import bacl
from bacl.assembly import trainer as trainer_module
from bacl.jobs import export, fit

timm = pytest.importorskip("timm")
NARROW = {"embed_dim": 24, "depth": 2, "num_heads": 2}
OPTIONS = [f"+detector.backbone.options.{key}={value}" for key, value in NARROW.items()]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224", **NARROW).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def command(tiny_overrides, compose_config, weights):
    """The tiny run on a plain ViT of a way to adapt it."""
    of_resnets = ("detector.backbone.",)
    kept = [each for each in tiny_overrides if not each.startswith(of_resnets)]

    def composed(adaptation, *overrides):
        return compose_config(
            *kept,
            "detector=faster_rcnn_vit",
            "detector.backbone.name=vit_tiny_patch16_224",
            f"detector.backbone.weights={weights}",
            *OPTIONS,
            f"adaptation@detector.backbone.adaptation={adaptation}",
            *overrides,
        )

    return composed


def states(folder):
    stages = ("representation", "classifier")
    return [torch.load(folder / stage / "final.ckpt")["detector"] for stage in stages]


def changed(state, other):
    names = {name for name in state if name.startswith("backbone.")}
    return {name for name in names if not torch.equal(state[name], other[name])}


@pytest.fixture(scope="module")
def finished_lora(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "lora"
    fit.run(command("lora"), folder)
    return folder


def test_low_rank_updates_are_handed_to_the_classifier_stage(finished_lora, weights):
    representation, classifier = states(finished_lora)
    assert not changed(representation, classifier)
    pretrained = torch.load(weights)
    layer = "backbone.model.blocks.1.attn.qkv"
    assert torch.equal(representation[f"{layer}.frozen"], pretrained["blocks.1.attn.qkv.weight"])
    assert representation[f"{layer}.b"].any()


def test_the_model_is_had_back_from_its_file_alone(finished_lora, command):
    path = finished_lora / "classifier/final.ckpt"
    model = bacl.load(path, head="bacl")
    picture = next(Path(command("lora").data.val.images).glob("*.jpg"))
    assert len(model(picture).scores)


@pytest.mark.slow
def test_an_exported_program_has_merged_weights(finished_lora, compose_config, tmp_path):
    path = tmp_path / "model.pt2"
    checkpoint = f"checkpoint={finished_lora / 'classifier/final.ckpt'}"
    options = ["export.format=torch", "export.head=bacl", "export.image_size=[96,96]"]
    export.run(
        compose_config("job=export", checkpoint, *options, f"export.output={path}"), tmp_path
    )
    program = torch.export.load(path)
    names = [name for name in program.state_dict if "attn.qkv" in name]
    assert {name.rpartition(".")[2] for name in names} == {"weight", "bias"}


class Crash(Callback):
    """Ends the process, as far as a test can, in a step of a stage."""

    def __init__(self, stage, step):
        self.stage, self.step = stage, step

    def on_train_batch_start(self, trainer, *_):
        if self.stage in trainer.default_root_dir and trainer.global_step == self.step:
            raise KeyError("the power is out")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["representation", "classifier"])
def test_a_run_that_is_interrupted_with_features_on_disk_goes_on_without_to_the_bit(
    command, finished_lora, differing, tmp_path, monkeypatch, stage
):
    often, kept = "checkpoint_every_minutes=0.0001", f"cache.folder={tmp_path / 'features'}"
    watchers = trainer_module.callbacks
    with monkeypatch.context() as patch:
        crashing = lambda *args: [*watchers(*args), Crash(stage, 6)]  # noqa: E731
        patch.setattr(trainer_module, "callbacks", crashing)
        with pytest.raises(KeyError, match="the power is out"):
            fit.run(command("lora", often, "cache=features", kept), tmp_path / "run")
    assert (tmp_path / "run" / stage / "last.ckpt").exists()
    # The updates train in the first stage, so nothing of it is kept.
    assert bool(list(tmp_path.glob("features/*/*/*.pt"))) == (stage == "classifier")
    fit.run(command("lora", often), tmp_path / "run")
    assert not differing(tmp_path / "run", finished_lora)


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["frozen", "layer_decay"])
def test_the_other_ways_train_both_stages(command, weights, tmp_path, adaptation):
    fit.run(command(adaptation), tmp_path)
    representation, classifier = states(tmp_path)
    assert not changed(representation, classifier)
    assert torch.equal(
        representation["backbone.model.norm.weight"], torch.load(weights)["norm.weight"]
    ) == (adaptation == "frozen")
