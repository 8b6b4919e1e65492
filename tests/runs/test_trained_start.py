"""A training that starts from a detector of other categories."""

import pickle
import re

import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from bacl.assembly.build import build_parts, build_stage, chosen_stages
from bacl.assembly.restored import restore_model
from bacl.assembly.trial import without_data
from bacl.checkpoints.handover import Categories, CheckpointError, load_stage, save_stage
from bacl.checkpoints.safetensors_file import write_safetensors
from bacl.detectors.weights import WeightsError
from bacl.inspection.fitted import anchor_scale
from bacl.jobs import fit
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.runs.start import Start
from bacl.runs.start_check import StartCheck, check_starts
from bacl.runs.trained_source import read_trained
from bacl.runs.trained_start import TOLD

OLD = Categories([1, 2, 3], ["cup", "tea_pot", "spoon"])
NEW = Categories([7, 8, 9, 10], ["Tea Pot", "fork", "cup", "knife"])
SOFTMAX = "loss@stages.representation.heads.representation.loss=cross_entropy"


@pytest.fixture
def new(tiny):
    """A stage that has not trained, of as many categories, with its start and configuration."""

    def make(categories, folder, *overrides, stage="representation"):
        composed = tiny(f"data.num_classes={len(categories.ids)}", *overrides)
        labels = [str(label) for label in range(len(categories.ids))]
        config = OmegaConf.create(without_data(plain(composed), labels))
        built = build_stage(config, stage, pretrained=False)
        return built, Start.of(config, folder, stage), config

    return make


@pytest.fixture
def trained(new, tmp_path):
    """The final.ckpt of a stage of the old categories, with other numbers than any new stage."""

    def make(*overrides, stage="representation"):
        built, _, config = new(OLD, tmp_path / "none", *overrides, stage=stage)
        for number, value in enumerate(built.parameters()):
            value.data.normal_(generator=torch.Generator().manual_seed(number))
        path = tmp_path / f"{stage}.ckpt"
        save_stage(path, built.detector, built.live_heads, OLD, plain(config))
        return path, built

    return make


def predictor(stage, head="representation"):
    return stage.live_heads[head].classifiers[0].predictor


def test_rows_go_by_name_and_the_rest_starts_sensibly(new, trained, tmp_path):
    path, old = trained()
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}")
    fresh = predictor(stage).weight.detach().clone(), predictor(stage).bias.detach().clone()
    start.take(stage, NEW, tmp_path / "representation")
    assert torch.equal(stage.detector.backbone.conv1.weight, old.detector.backbone.conv1.weight)
    theirs, own = predictor(old), predictor(stage)
    for label, before in ((0, 1), (2, 0), (4, 3)):  # the last is objectness
        assert torch.equal(own.weight[label], theirs.weight[before])
        assert own.bias[label] == theirs.bias[before]
    for label in (1, 3):  # of a sigmoid: its prior
        assert torch.equal(own.weight[label], fresh[0][label])
        assert own.bias[label] == fresh[1][label]
    boxes, before = stage.detector.box_regression.fc, old.detector.box_regression.fc
    assert torch.equal(boxes.weight[:4], before.weight[4:8])
    mean = before.weight.unflatten(0, (3, 4)).mean(0)
    torch.testing.assert_close(boxes.weight[4:8], mean)
    told = (tmp_path / "representation" / TOLD).read_text()
    assert "categories: 2 of 4 by name; new: fork, knife; left out: spoon" in told
    assert "  Tea Pot: tea_pot\n" in told


def test_a_renamed_category(new, trained, tmp_path):
    path, old = trained()
    names = "detector.init_names={spoon: fork}"
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", names)
    start.take(stage, NEW, tmp_path)
    assert torch.equal(predictor(stage).weight[1], predictor(old).weight[2])


def test_softmax_takes_no_rows_of_sigmoids(new, trained, tmp_path):
    path, _ = trained()
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", SOFTMAX)
    drawn = predictor(stage).weight.detach().clone()
    start.take(stage, NEW, tmp_path)
    assert torch.equal(predictor(stage).weight, drawn)
    told = "scores as BinaryCrossEntropyWithObjectness does, not as SoftmaxCrossEntropy"
    assert (
        f"classifier representation: new (representation: {told})" in (tmp_path / TOLD).read_text()
    )


def test_a_new_row_of_softmax_is_as_likely_as_the_old_ones_on_average(new, trained, tmp_path):
    path, old = trained(SOFTMAX)
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", SOFTMAX)
    start.take(stage, NEW, tmp_path)
    mean = predictor(old).weight[:3].mean(0)
    torch.testing.assert_close(predictor(stage).weight[1], mean, rtol=0, atol=0.06)


def test_a_head_that_says_so_starts_anew(new, trained, tmp_path):
    path, _ = trained()
    fresh = "stages.representation.heads.representation.init=fresh"
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", fresh)
    drawn = predictor(stage).weight.detach().clone()
    start.take(stage, NEW, tmp_path)
    assert torch.equal(predictor(stage).weight, drawn)


def test_a_head_that_says_that_it_inherits_does_not_start_anew(new, trained, tmp_path):
    path, old = trained()
    inherits = "stages.representation.heads.representation.init=inherit"
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", inherits)
    StartCheck(start, stage).check(None)
    start.take(stage, NEW, tmp_path)
    assert torch.equal(predictor(stage).weight[2], predictor(old).weight[0])
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", inherits, SOFTMAX)
    told = r"representation\.init=inherit: no classifier .*BinaryCross.*\.init=fresh$"
    with pytest.raises(OptionError, match=told):
        StartCheck(start, stage).check(None)
    with pytest.raises(OptionError, match=told):
        start.take(stage, NEW, tmp_path)
    content = load_stage(path)
    content["heads"]["representation"]["first.predictor.weight"] = torch.zeros(4, 7)
    torch.save(content, path)
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", inherits)
    with pytest.raises(OptionError, match=r"its rows are of another number or width"):
        start.take(stage, NEW, tmp_path)


def test_of_several_classifiers_the_first_that_means_the_same(new, trained, tmp_path):
    path, old = trained(stage="classifier")
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}")
    start.take(stage, NEW, tmp_path)
    name = next(iter(old.live_heads))
    assert torch.equal(predictor(stage).weight[2], predictor(old, name).weight[0])
    assert "heads.bacl.first.hallucination.prototypes: statistics" in (tmp_path / TOLD).read_text()


def test_the_second_stage_alone_may_start_from_it(new, trained, tmp_path):
    path, old = trained()
    alone = "stage=classifier", "stages.classifier.init.detector=null", f"detector.init_from={path}"
    stage, start, _ = new(NEW, tmp_path, *alone, stage="classifier")
    StartCheck(start, stage).check(None)
    start.take(stage, NEW, tmp_path)
    for head in ("baseline", "bacl"):
        assert torch.equal(predictor(stage, head).weight[2], predictor(old).weight[0])
    stage, start, _ = new(NEW, tmp_path, *alone, "detector.feature_dim=64", stage="classifier")
    with pytest.raises(CheckpointError, match=r"what is frozen, .*box_head.shared_fcs.1.weight"):
        StartCheck(start, stage).check(None)


def test_what_a_later_stage_or_a_resumed_one_starts_from_is_another(new, trained, tmp_path):
    path, _ = trained()
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}", stage="classifier")
    assert start.trained(stage) is None
    (tmp_path / "representation").mkdir()
    (tmp_path / "representation/last.ckpt").touch()
    path.unlink()
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}")
    StartCheck(start, stage).check(None)  # goes on without the file


def test_the_backbones_own_weights_are_not_asked_for(tiny, trained):
    path, _ = trained()
    options = "data.num_classes=4", "detector.backbone.weights=nowhere/weights.pth"
    config = OmegaConf.create(without_data(plain(tiny(*options)), list("abcd")))
    with pytest.raises(WeightsError, match=r"nowhere/weights\.pth do not exist"):
        build_parts(config, "representation", pretrained=True)
    config.detector.init_from = str(path)
    build_parts(config, "representation", pretrained=True)


def test_whose_boxes_are_blended_is_a_matter_of_the_data(new, trained, tmp_path):
    cab = "+box_regression@detector.box_regression=cab"
    path, old = trained(cab)
    assert old.detector.box_regression.blended.all()
    old.detector.box_regression.blended.fill_(False)
    save_stage(path, old.detector, old.live_heads, OLD, load_stage(path)["config"])
    others = Categories([1, 2, 3], ["fork", "cup", "knife"])
    stage, start, _ = new(others, tmp_path, cab, f"detector.init_from={path}")
    start.take(stage, others, tmp_path)
    assert stage.detector.box_regression.blended.all()
    assert torch.equal(
        stage.detector.box_regression.shared.weight, old.detector.box_regression.shared.weight
    )


def check(config, folder):
    starts = {name: Start.of(config, folder, name) for name in chosen_stages(config)}
    check_starts(config, starts)


def test_what_cannot_take_effect_is_refused(tiny, trained, tmp_path):
    path, _ = trained()
    start = f"stages.representation.init.detector={path}"
    with pytest.raises(OptionError, match=r"no stage would start .*representation\.init\.detector"):
        check(tiny(f"detector.init_from={path}", start), tmp_path)
    with pytest.raises(OptionError, match=r"init_names: does nothing without detector.init_from"):
        check(tiny("detector.init_names={a: b}"), tmp_path)
    told = "says how stages train, and those of .* are trained"
    for option in (f"detector.init_from={path}", "detector.init_names={a: b}"):
        words = [f"checkpoint={path}", option]
        with pytest.raises(OptionError, match=told):
            restore_model(tiny(*words), tmp_path, words)


@pytest.mark.parametrize(
    ("option", "theirs"),
    [
        ("detector.rpn.anchors.scale", "6"),
        ("detector.rpn.anchors.ratios", "[0.25, 1.0, 4.0]"),
        ("detector.rpn.coder.stds", "[0.5, 1.0, 1.0, 1.0]"),
        ("detector.box_regression.coder.stds", "[0.2, 0.1, 0.2, 0.2]"),
        ("detector.pooling.finest_scale", "28"),
        ("+detector.pooling.aligned", "false"),  # true is its default
    ],
)
def test_what_no_tensor_says_has_to_be_the_same(new, trained, tmp_path, option, theirs):
    path, _ = trained(f"{option}={theirs}")
    start = f"detector.init_from={path}"
    key = option.removeprefix("+")
    stage, begin, _ = new(NEW, tmp_path, start)
    with pytest.raises(CheckpointError, match=re.escape(f"take its own: {key}={theirs}") + "$"):
        StartCheck(begin, stage).check(None)
    stage, begin, _ = new(NEW, tmp_path, start, f"{option}={theirs}")
    StartCheck(begin, stage).check(None)


def test_tensors_that_are_drawn_may_be_read_otherwise(new, trained, tmp_path):
    path, _ = trained("detector.rpn.anchors.ratios=[1.0]")  # deltas of another number of anchors
    stage, begin, _ = new(NEW, tmp_path, f"detector.init_from={path}")
    StartCheck(begin, stage).check(None)


def test_anchors_are_chosen_as_those_of_the_detector_to_start_from(trained, tmp_path):
    path, _ = trained("detector.rpn.anchors.scale=6")
    given = str(tmp_path / "no.json"), 160, [1.0], [4]
    assert anchor_scale(*given, str(path)).value == 6
    assert anchor_scale(*given, str(path), [[32]]).value == 6
    assert anchor_scale(*given, "FasterRCNN_ResNet50_FPN_Weights.COCO_V1").value == 8
    path.write_bytes(b"damaged")
    assert anchor_scale(*given, str(path)).value == 8  # whoever loads it tells what is wrong


def test_our_own_safetensors(new, trained, tmp_path):
    path, old = trained()
    other = tmp_path / "detector.safetensors"
    write_safetensors(other, load_stage(path), {})
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={other}")
    start.take(stage, NEW, tmp_path)
    assert torch.equal(predictor(stage).weight[2], predictor(old).weight[0])
    save_file({"conv1.weight": torch.zeros(2)}, other)
    with pytest.raises(CheckpointError, match=r"^detector.init_from: .*detector.backbone.weights$"):
        read_trained(str(other))


class Hostile:
    def __reduce__(self):
        return print, ("executed",)


FILES = {
    "code.pth": (lambda path: path.write_bytes(pickle.dumps(Hostile())), "nothing .* was executed"),
    "text.pth": (lambda path: path.write_text("weights"), "a text file"),
    "backbone.pth": (
        lambda path: torch.save({"conv1.weight": torch.zeros(2)}, path),
        "no detector that is known here .*conv1.weight.*detector.backbone.weights",
    ),
    "det-12345678.pth": (
        lambda path: torch.save({"backbone.body.conv1.weight": torch.zeros(2)}, path),
        "its SHA-256 begins",
    ),
    "last.ckpt": (
        lambda path: torch.save({"pytorch-lightning_version": "2", "state_dict": {}}, path),
        "only resumes its own run",
    ),
    "folder": (lambda path: path.mkdir(), "a folder"),
    "missing.pth": (lambda path: None, "no such file; name a final.ckpt"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_detector(tmp_path, capsys, name):
    write, told = FILES[name]
    write(tmp_path / name)
    with pytest.raises(CheckpointError, match=told):
        read_trained(str(tmp_path / name))
    assert "executed\n" not in capsys.readouterr().out


def test_weights_that_torchvision_does_not_have():
    with pytest.raises(WeightsError, match=r"^detector.init_from 'FasterRCNN.None' are neither"):
        read_trained("FasterRCNN.None")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none(new, trained, tmp_path, number):
    path, _ = trained()
    content = load_stage(path)
    content["detector"]["box_regression.fc.bias"][0] = number
    torch.save(content, path)
    stage, start, _ = new(NEW, tmp_path, f"detector.init_from={path}")
    start.take(stage, NEW, tmp_path)
    assert stage.detector.box_regression.fc.bias.isfinite().all()
    assert "box_regression.fc.bias: holds NaN or infinity" in (tmp_path / TOLD).read_text()


def test_a_run_from_a_detector_of_other_categories(tiny, finished, tmp_path):
    source = finished / "representation/final.ckpt"
    fewer = "data.builder.num_categories=10", "data.root=" + str(tmp_path / "data")
    config = tiny(f"detector.init_from={source}", *fewer)
    fit.run(config, tmp_path / "run")
    told = tmp_path / "run/representation" / TOLD
    assert "categories: 10 of 10 by name; left out: " in told.read_text()
    assert not (tmp_path / "run/classifier" / TOLD).exists()
    written = told.stat().st_mtime_ns
    fit.run(config, tmp_path / "run")
    assert told.stat().st_mtime_ns == written
    restored = restore_model(tiny(f"checkpoint={tmp_path / 'run/classifier/final.ckpt'}"), tmp_path)
    assert restored.stage.detector.init_from is None
