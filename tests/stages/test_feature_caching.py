"""Trainings with and without cache=features, to the bit."""

import pytest
import torch
from torchvision.transforms import v2

from bacl.callbacks.feature_caching import FeatureCaching
from bacl.data.augmentation.transforms import Augmentation, ResizeShortSide
from bacl.files.shared_room import room_in, size_of
from bacl.jobs import fit
from bacl.messages.errors import OptionError

ALONE = "detector.each_alone=true"
BACKBONE = "stages.representation.module.trainable=['*','!detector.backbone.*']"
MIRRORED = v2.Compose([ResizeShortSide([64, 80, 96], 96), v2.RandomHorizontalFlip(0.5)])


@pytest.fixture
def trained(bench):
    """The state after an epoch, and what the callback kept."""

    def train(stage, *callbacks, augment=MIRRORED, overrides=()):
        table = bench(stage, ALONE, *overrides)
        table.data.augment = Augmentation(augment, ResizeShortSide([96], 96))
        return table.fit(*callbacks).state_dict()

    return train


def differing(one, other):
    tensors = {name: value for name, value in one.items() if isinstance(value, torch.Tensor)}
    return [name for name, value in tensors.items() if not torch.equal(value, other[name])]


@pytest.mark.parametrize(
    ("stage", "overrides"),
    [
        ("classifier", ()),  # whose pyramid is frozen
        pytest.param("representation", (BACKBONE,), marks=pytest.mark.slow),
    ],
)
def test_a_training_ends_bit_for_bit_as_without(trained, tmp_path, stage, overrides):
    plain = trained(stage, overrides=overrides)
    first = trained(stage, FeatureCaching(str(tmp_path), 1.0), overrides=overrides)
    written = len(list(tmp_path.rglob("*.pt")))
    again = trained(stage, FeatureCaching(str(tmp_path), 1.0), overrides=overrides)
    assert not differing(plain, first)
    assert not differing(plain, again)
    assert 0 < written == len(list(tmp_path.rglob("*.pt")))  # the second read them all


def test_it_tells_what_it_may_take_before_and_what_it_did_after(trained, tmp_path, caplog):
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        trained("classifier", FeatureCaching(str(tmp_path), 1.0))
    told = [line for line in caplog.messages if line.startswith("cache=features")]
    # 16 pictures to train on, of three sizes and mirrored each; 6 to judge by.
    assert told[0].startswith("cache=features: of 102 pictures, each size and mirror image counted")
    assert told[1] == "cache=features: 0 pictures read, 16 computed"


def test_an_evaluation_keeps_what_it_judges_whatever_was_trained_on(bench, tmp_path):
    table = bench("classifier", ALONE)
    table.data.augment = Augmentation(v2.ColorJitter(0.5), ResizeShortSide([96], 96))
    found = []
    for _ in "ab":
        trainer = table.trainer(FeatureCaching(str(tmp_path), 1.0))
        found.append(table.measures(trainer))
        assert len(list(tmp_path.rglob("*.pt"))) == 6
    assert found[0] == found[1]


@pytest.mark.parametrize("others", [0, 900])
def test_an_evaluation_whose_pictures_lie_there_needs_no_room_for_them_again(
    bench, tmp_path, others
):
    table = bench("classifier", ALONE)
    table.data.augment = Augmentation(v2.ColorJitter(0.5), ResizeShortSide([96], 96))
    roomy = table.trainer(FeatureCaching(str(tmp_path), 1.0))
    expected = table.measures(roomy)
    lies = size_of(tmp_path)
    limited = FeatureCaching(str(tmp_path), (lies + 1000) / 1e9)
    with room_in(tmp_path, "other", others, 10**9, "cache.gigabytes"):
        trainer = table.trainer(limited)
        found = table.measures(trainer)
    assert found == expected
    assert len(list(tmp_path.rglob("*.pt"))) == 6


def test_the_stage_forgets_it_however_the_training_ends(bench, tmp_path):
    class Broken(FeatureCaching):
        def on_train_batch_end(self, *args):
            raise KeyError("the power is out")

    table = bench("classifier", ALONE)
    before = table.stage.detector.features
    with pytest.raises(KeyError):
        table.fit(Broken(str(tmp_path), 1.0))
    assert table.stage.detector.features is before


def test_a_stage_whose_backbone_trains_keeps_nothing(trained, tmp_path):
    trained("representation", FeatureCaching(str(tmp_path), 1.0))
    assert not list(tmp_path.iterdir())


def test_a_limit_that_is_too_low_names_its_option(trained, tmp_path):
    with pytest.raises(OSError, match=r"cache\.gigabytes=1e-06 allows less"):
        trained("classifier", FeatureCaching(str(tmp_path), 1e-6))


def test_what_hinders_it_is_named_before_a_training(bench, tmp_path):
    caching = FeatureCaching(str(tmp_path), 1.0)
    plain = bench("classifier")
    with pytest.raises(OptionError, match=r"detector\.each_alone=true"):
        caching.check("classifier", plain.stage, plain.data.augment)
    alone = bench("classifier", ALONE)
    assert caching.check("classifier", alone.stage, alone.data.augment)
    drawn = Augmentation(v2.ColorJitter(0.5), v2.Identity())
    with pytest.raises(OptionError, match=r"stages\.classifier\.augment\.train: ColorJitter .*"):
        caching.check("classifier", alone.stage, drawn)
    with pytest.raises(OptionError, match=r"stages\.classifier\.augment\.test: ColorJitter .*"):
        caching.check("classifier", alone.stage, Augmentation(v2.Identity(), drawn.train))
    representation = bench("representation")
    assert not caching.check("representation", representation.stage, drawn)


def test_a_command_whose_backbone_trains_throughout_is_refused(tiny, tmp_path):
    config = tiny("stage=representation", "cache=features", f"cache.folder={tmp_path / 'cache'}")
    with pytest.raises(OptionError, match="the backbone trains in every stage"):
        fit.run(config, tmp_path / "run")
