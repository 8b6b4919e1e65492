"""Finished checkpoints, calibrated by a command or as they were trained."""

import pytest
import torch
from omegaconf import OmegaConf

import bacl
from bacl.assembly.restored import restore_model
from bacl.assembly.restored_on_data import restore_on_data
from bacl.checkpoints.handover import CheckpointError
from bacl.checkpoints.mmdet import published_state
from bacl.data.statistics import CategoryStatistics
from bacl.heads import Calibration, Head
from bacl.messages.errors import OptionError
from tests.levels import level

HEAD = "stages.classifier.heads.bacl.calibration"


@pytest.fixture
def edited(finished, tmp_path):
    """The final checkpoint after a change of its content."""

    def make(change=lambda content: None):
        content = torch.load(finished / "classifier/final.ckpt", weights_only=True)
        change(content)
        path = tmp_path / "edited.ckpt"
        torch.save(content, path)
        return path

    return make


@pytest.fixture(scope="module")
def calibrated(tiny):
    """A checkpoint calibrated as a command says; unless they are asked for, no data are read."""

    def restore(path, name, on_data=False):
        overrides = [f"calibration={name}"]
        config = tiny(*overrides, f"checkpoint={path}")
        if not on_data:
            config.data.train.annotations = "gone.json"
            return restore_model(config, path.parent, overrides)
        return restore_on_data(config, path.parent, [*overrides, f"data.root={config.data.root}"])

    return restore


@pytest.fixture(scope="module")
def norcal(finished, calibrated):
    return calibrated(finished / "classifier/final.ckpt", "norcal")


def calibration(restored) -> Calibration:
    head: Head = restored.stage.heads["bacl"]
    return head.calibration


def scores(restored) -> torch.Tensor:
    head = restored.stage.heads["bacl"]
    width = head.classifiers[0].predictor.in_features
    generator = torch.Generator().manual_seed(0)
    return head.scores([level(torch.randn(9, width, generator=generator))])


def buffers(one: Calibration) -> dict[str, torch.Tensor]:
    return dict(one.named_buffers())


def test_a_command_calibrates_a_checkpoint_by_the_counts_it_was_trained_with(
    norcal, tiny, finished
):
    """Whatever training file the command names."""
    assert not torch.equal(scores(norcal), scores(bacl.load(norcal.path).restored))
    given = calibration(norcal)
    expected = given.factors.clone()
    given.take(CategoryStatistics.load(tiny().data.train.annotations))
    assert torch.equal(given.factors, expected)


@pytest.mark.parametrize("on_data", [False, True])
def test_the_counts_are_the_checkpoints_where_it_has_them(on_data, edited, calibrated):
    def other_counts(content):
        content["training"]["image_counts"] = list(range(1, 13))
        content["training"]["fractal_dimensions"] = [1.5] * 12

    restored = calibrated(edited(other_counts), "fracal", on_data)
    torch.testing.assert_close(
        calibration(restored).spreads, torch.full((12,), 1.5**2), rtol=0, atol=0
    )
    rarity = (16 / torch.arange(1, 13, dtype=torch.float64)).log10() - torch.tensor(12.0).log10()
    torch.testing.assert_close(calibration(restored).shifts, rarity.float())


@pytest.mark.parametrize(
    ("missing", "name"), [("fractal_dimensions", "fracal"), ("training", "norcal")]
)
def test_an_earlier_checkpoint_is_calibrated_by_the_training_file_alone(
    missing, name, edited, calibrated, tiny
):
    def earlier(content):
        (content if missing == "training" else content["training"]).pop(missing)

    path = edited(earlier)
    told = r"edited\.ckpt: was written by an earlier version, without .*; job=test reads them"
    with pytest.raises(CheckpointError, match=told):
        calibrated(path, name)
    restored = calibrated(path, name, on_data=True)
    expected = {key: value.clone() for key, value in buffers(calibration(restored)).items()}
    calibration(restored).take(CategoryStatistics.load(tiny().data.train.annotations))
    torch.testing.assert_close(buffers(calibration(restored)), expected, rtol=0, atol=0)


def trained_with(name, tiny, statistics="anything.json"):
    node = OmegaConf.to_container(tiny(f"+calibration@{HEAD}={name}"), resolve=False)
    found = node["stages"]["classifier"]["heads"]["bacl"]["calibration"]
    found["num_classes"] = 12
    if "statistics" in found:
        found["statistics"]["annotations"] = statistics
    return found


def put(content, node):
    content["config"]["stages"]["classifier"]["heads"]["bacl"]["calibration"] = node


def test_a_checkpoint_that_was_trained_with_one_comes_back_alone(edited, norcal, tiny):
    path = edited(lambda content: put(content, trained_with("norcal", tiny)))
    assert torch.equal(scores(bacl.load(path).restored), scores(norcal))


def gathered(content, tiny) -> None:
    put(content, trained_with("logn", tiny))
    content["heads"]["bacl"] |= {
        "first.calibration.means": torch.arange(12, dtype=torch.float64),
        "first.calibration.variances": torch.ones(12, dtype=torch.float64),
        "first.calibration._extra_state": {"steps": 3},
    }


def test_what_was_gathered_is_in_the_checkpoint_until_a_command_exchanges_it(
    edited, calibrated, norcal, tiny
):
    path = edited(lambda content: gathered(content, tiny))
    one = calibration(bacl.load(path).restored)
    assert one.steps == 3
    assert one.means.tolist() == list(range(12))
    assert torch.equal(scores(calibrated(path, "norcal")), scores(norcal))
    with pytest.raises(OptionError, match="calibration=logn: calibrates by what it gathers"):
        scores(calibrated(edited(), "logn"))


def test_what_was_gathered_has_to_fit(edited, tiny):
    def too_few(content):
        gathered(content, tiny)
        content["heads"]["bacl"]["first.calibration.means"] = torch.zeros(11).double()

    with pytest.raises(CheckpointError, match=r"calibration\.means is \(11,\), expected \(12,\)"):
        bacl.load(edited(too_few))


def test_damaged_statistics_are_refused(edited):
    def nan(content):
        content["training"]["fractal_dimensions"][3] = float("nan")

    with pytest.raises(CheckpointError, match=r"fractal_dimensions\[3\] is nan, expected a dim"):
        bacl.load(edited(nan))


def test_mmdetection_has_no_calibrations(norcal):
    stage = norcal.stage
    with pytest.raises(CheckpointError, match=r"format=mmdet: MMDetection has no NorCal"):
        published_state(stage.detector, stage.heads["bacl"])
