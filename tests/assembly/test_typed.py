"""What a command says of a finished model reaches all that goes by it, or is refused."""

import pytest
from omegaconf import OmegaConf

from bacl.assembly.build import build_stage
from bacl.assembly.restored import described_model
from bacl.assembly.trial import without_data
from bacl.assembly.typed import referring
from bacl.checkpoints.handover import Categories, save_stage
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.options.marked import is_of_training

LABELS = [str(label) for label in range(12)]
FLIP = "{_target_:torchvision.transforms.v2.RandomHorizontalFlip,p:0.5}"
FLIPS = f"stages.classifier.augment.train.transforms=[{FLIP}]"


@pytest.fixture(scope="module")
def masked(tiny, tmp_path_factory):
    """The final.ckpt of a stage with masks that has not trained."""
    composed = tiny("data.num_classes=12", "detector=mask_small")
    config = OmegaConf.create(without_data(plain(composed), LABELS))
    made = build_stage(config, "classifier", pretrained=False)
    path = tmp_path_factory.mktemp("masked") / "final.ckpt"
    categories = Categories(list(range(1, 13)), LABELS)
    save_stage(path, made.detector, made.live_heads, categories, plain(composed))
    return path


@pytest.fixture
def described(masked, compose_config, tmp_path):
    """The configuration of that model, as a command says."""

    def made(*overrides):
        config = compose_config(f"checkpoint={masked}", *overrides)
        return described_model(config, tmp_path, overrides)[2]

    return made


def test_what_stands_for_an_overridden_option_goes_with_it(described):
    alone, changed = described(), described("masks=false")
    for config, masks in ((alone, True), (changed, False)):
        found = (config.masks, config.metric.masks, config.datamodule.load_masks)
        assert found == (masks, masks, masks)
    assert changed.detector == alone.detector


def test_heads_stay_those_of_the_file(described):
    """Also where the command composes others, of options that it sets."""
    alone, changed = described(), described("seed=3", "detector.backbone.frozen_stages=1")
    assert changed.stages.classifier.heads.bacl == alone.stages.classifier.heads.bacl
    assert changed.stages.classifier.heads.keys() == alone.stages.classifier.heads.keys()


def test_a_chosen_part_goes_by_what_the_checkpoint_says(described):
    assert described("metric=coco_lt").metric.masks is True


def test_a_sampler_is_of_use_to_what_gathers_alone(described):
    gathering = ("sampler=class_aware", "datamodule.min_side=8", "calibration=logn")
    stage = described(*gathering).stages.classifier
    assert stage.sampler._target_ == "bacl.data.samplers.ClassAwareBatches"
    with pytest.raises(OptionError, match=r"^sampler=class_aware: says how stages train"):
        described("sampler=class_aware", "calibration=norcal")


@pytest.mark.parametrize(
    "text",
    [
        "stages.classifier.schedule.epochs=3",
        "schedule@stages.classifier.schedule=2x",
        "stages.classifier.init.classifier=fresh",
        "+sampler@stages.classifier.sampler=class_aware",
        "stages.classifier.module.trainable=[heads.*]",
        FLIPS,
        "stages.representation.heads.representation.learning_rate=0.1",
        "fhm@stages.representation.heads.representation.hallucination=none",
        "datamodule.batch_size=2",
        "trainer.limit_train_batches=3",
        "checkpoint_every_minutes=1",
        "datamodule.negatives=true",
        "head.init=fresh",
        "head=ecm",
    ],
)
def test_what_says_how_stages_train_is_refused(described, text):
    with pytest.raises(OptionError, match=r"says how stages train.*leave it out") as caught:
        described(text)
    assert str(caught.value).startswith(f"{text}: ")
    assert "\n" not in str(caught.value)


def test_training_pictures_are_of_use_to_what_gathers_alone():
    for path, of_training in (("augment.train.max_size", True), ("augment.test", False)):
        assert is_of_training(f"stages.classifier.{path}", gathers=False) is of_training
        assert not is_of_training(f"stages.classifier.{path}", gathers=True)


def test_counts_of_other_data_are_refused(described):
    text = "calibration.statistics.annotations=other.json"
    with pytest.raises(OptionError, match=rf"^{text}: a finished stage is calibrated by the coun"):
        described("calibration=norcal", text)


def test_references_are_followed_to_their_ends():
    values = {
        "a": {"b": 1}, "c": "${a.b}", "d": {"e": "${c}", "f": "${.e}", "g": "${..a}"}, "h": "${x}"
    }  # fmt: skip
    assert sorted(referring(values, ["a.b"])) == ["c", "d.e", "d.f", "d.g"]
    assert referring(values, ["d.e"]) == ["d.f"]
    assert referring(values, ["y"]) == []
