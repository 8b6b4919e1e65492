"""What a stage starts from is checked before data are read."""

import pytest
from omegaconf import OmegaConf, open_dict

from bacl.assembly.build import build_stage, chosen_stages
from bacl.assembly.trial import try_to_build, without_data
from bacl.checkpoints.handover import Categories, CheckpointError, save_stage
from bacl.data.samplers import ClassAwareBatches
from bacl.jobs import fit
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.runs.start import Start
from bacl.runs.start_check import check_hand_over, check_starts

STAGES = ("representation", "classifier")
LABELS = [str(label) for label in range(12)]
TWO_HEADS = r"has several heads \((baseline, bacl|bacl, baseline)\)"
FIRST = "loss@stages.representation.heads.representation"
OTHER_LOGITS = ("loss@head.loss=bce", "fhm@head.hallucination=none")


def check(config, folder):
    """All that `train_stages` checks of starts, without its data."""
    starts = {name: Start.of(config, folder, name) for name in chosen_stages(config)}
    check_starts(config, starts)
    for start in starts.values():
        check_hand_over(start, try_to_build(config))


@pytest.fixture
def with_third(tiny):
    """A third stage, of the second one's parts, with this `init`."""

    def composed(detector, classifier):
        config = tiny()
        with open_dict(config):
            config.stages.third = config.stages.classifier.copy()
            config.stages.third.init = {"detector": detector, "classifier": classifier}
        return config

    return composed


@pytest.fixture
def left_by(tiny):
    """Writes the final.ckpt of a stage of 12 categories that has not trained."""

    def written(stage, path):
        config = OmegaConf.create(without_data(plain(tiny("data.num_classes=12")), LABELS))
        made = build_stage(config, stage, pretrained=False)
        path.parent.mkdir()
        ids = list(range(1, 13))
        save_stage(path, made.detector, made.live_heads, Categories(ids, LABELS), plain(config))
        return path

    return written


def test_fresh_heads_start_beside_a_stage_of_several(with_third, tmp_path):
    check(with_third("classifier", "fresh"), tmp_path)


def test_a_stage_of_several_heads_leaves_no_classifier(with_third, left_by, tiny, tmp_path):
    told = rf"third\.heads\.\w+: .*stages\.classifier, which {TWO_HEADS}; .*\.init=fresh"
    with pytest.raises(OptionError, match=told):
        check(with_third("classifier", "inherit"), tmp_path)
    path = left_by("classifier", tmp_path / "other/final.ckpt")
    config = tiny("stage=classifier", f"stages.classifier.init.detector={path}")
    with pytest.raises(OptionError, match=rf"heads\.\w+: .*{path}, which {TWO_HEADS}"):
        check(config, tmp_path)


@pytest.mark.parametrize("detector", ["third", "classifier"])
def test_a_stage_starts_from_an_earlier_one(with_third, tmp_path, detector):
    config = with_third("classifier", "fresh")
    start = "third" if detector == "third" else "representation"
    config.stages[start].init.detector = detector
    told = rf"^stages\.{start}\.init\.detector={detector}: is no earlier stage of the pipeline"
    with pytest.raises(OptionError, match=told):
        check(config, tmp_path)


@pytest.mark.parametrize("own", [True, False], ids=["of this run", "of another"])
def test_a_finished_stage_is_compared_before_data_are_read(tiny, left_by, tmp_path, own):
    folder = tmp_path / "run"
    folder.mkdir()
    path = left_by(
        "representation", (folder / "representation" if own else tmp_path / "x") / "final.ckpt"
    )
    typed = () if own else (f"stages.classifier.init.detector={path}",)
    check(tiny("stage=classifier", *typed), folder)
    at = r"stages\.classifier\.heads\.bacl"
    told = rf"^{at}: .*\[12\] logits .* that of {path}, which has \[13\]: .*with {at}\.init=fresh"
    with pytest.raises(OptionError, match=told):
        check(tiny("stage=classifier", *typed, *OTHER_LOGITS), folder)
    at = r"stages\.classifier\.heads\.c2am"
    told = rf"^{at}: .* has weight and is to .* which has weight and bias: .*{at}\.init=fresh"
    with pytest.raises(OptionError, match=told):
        check(tiny("stage=classifier", *typed, "head=c2am", "head.init=inherit"), folder)


def test_a_detector_of_other_anchors_is_no_start(tiny, left_by, tmp_path):
    path = left_by("representation", tmp_path / "x" / "final.ckpt")
    words = ("stage=classifier", f"stages.classifier.init.detector={path}")
    check(tiny(*words), tmp_path)
    told = r"^stages\.classifier\.init\.detector=.*take its own: detector\.rpn\.anchors\.scale=\d+$"
    with pytest.raises(CheckpointError, match=told):
        check(tiny(*words, "detector.rpn.anchors.scale=3"), tmp_path)


def test_an_earlier_stage_that_is_not_finished_is_missed_unless_it_is_over(tiny, tmp_path):
    config = tiny("stage=classifier")
    with pytest.raises(CheckpointError, match=r"classifier\.init\.detector: .*no such checkpoint"):
        check(config, tmp_path)
    (tmp_path / "classifier").mkdir()
    (tmp_path / "classifier/last.ckpt").touch()
    check(config, tmp_path)


@pytest.mark.parametrize("head", ["disalign", "lws", "ncm", "simcal"])
def test_a_predictor_on_a_frozen_classifier_has_to_inherit_it(tiny, tmp_path, head):
    check(
        tiny(f"head={head}", "loss@stages.representation.heads.representation.loss=cross_entropy"),
        tmp_path,
    )
    with pytest.raises(OptionError, match=rf"heads\.{head}: .*heads\.{head}\.init=inherit"):
        check(tiny(f"head={head}", "head.init=fresh"), tmp_path)


@pytest.mark.parametrize("own", [True, False], ids=["of this command", "of a file"])
def test_simcal_scores_an_inherited_classifier_by_the_loss_it_was_trained_with(
    tiny, left_by, tmp_path, own
):
    """Softmax of a classifier of sigmoids, which has as many logits, would be no scores of it."""
    typed = ["head=simcal", "head.init=inherit"]
    if not own:
        path = left_by("representation", tmp_path / "x/final.ckpt")
        typed += ["stage=classifier", f"stages.classifier.init.detector={path}"]
    told = (
        r"^stages\.classifier\.heads\.simcal: .* as SoftmaxCrossEntropy does, but that of .* was "
    )
    with pytest.raises(OptionError, match=told + "trained with BinaryCrossEntropyWithObjectness"):
        check(tiny(*typed), tmp_path)
    check(tiny(*typed, "loss@head.loss.first=bce_objectness"), tmp_path)


def test_losses_that_score_alike_and_terms_on_others_are_told_apart_by_their_scores(tiny, tmp_path):
    for loss in ("pcb", "logit_adjustment"):
        check(tiny("head=simcal", f"{FIRST}.loss={loss}"), tmp_path)
    rog = tiny("head=simcal", f"{FIRST}.loss=rog")  # on bce_objectness
    with pytest.raises(OptionError, match="trained with BinaryCrossEntropyWithObjectness"):
        check(rog, tmp_path)


def test_a_part_of_an_extractor_that_has_no_weights_needs_a_start(tiny, tmp_path):
    trainable = "stages.representation.module.trainable"
    for frozen in ("fpn", "box_head"):
        with pytest.raises(OptionError, match=rf"a part of it, and detector\.{frozen} would stay"):
            check(tiny(f"{trainable}=['*','!detector.{frozen}.*']"), tmp_path)


def test_a_backbone_that_is_frozen_as_a_whole_needs_weights_or_a_start(tiny, tmp_path):
    frozen = "stages.representation.module.trainable=['*','!detector.backbone.*']"
    with pytest.raises(OptionError, match=r"init\.detector=null: .* and detector\.backbone would"):
        check(tiny(frozen), tmp_path)
    check(tiny(frozen, "detector.backbone.weights=resnet.pth"), tmp_path)
    parts = "stages.representation.module.trainable=['*','!detector.backbone.*0.*']"
    check(tiny(parts), tmp_path)


@pytest.mark.parametrize("predictor", ["disalign", "cosine", "learnable_scales"])
def test_a_linear_classifier_continues_one_of_its_kind(tiny, tmp_path, predictor):
    """Refused before data are read, of which the number of logits would have to be known."""
    kind = f"+predictor@stages.representation.heads.representation.predictor={predictor}"
    config = tiny(kind)
    start = Start.of(config, tmp_path, "classifier")
    at = r"stages\.classifier\.heads\.bacl"
    told = rf"^{at}: its classifier has weight and bias .* stages\.representation, .*{at}\.init=f"
    with pytest.raises(OptionError, match=told):
        check_hand_over(start, try_to_build(config), counted=False)
    if predictor == "cosine":  # the others could not start fresh in a first stage
        with pytest.raises(OptionError, match=told):
            check_starts(config, {name: Start.of(config, tmp_path, name) for name in STAGES})


def test_data_of_all_stages_are_checked_before_the_first_one_trains(tiny, tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OptionError("no such batches")

    monkeypatch.setattr(ClassAwareBatches, "__init__", refuse)
    with pytest.raises(OptionError, match="no such batches"):
        fit.run(tiny("+sampler@stages.classifier.sampler=class_aware"), tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))
