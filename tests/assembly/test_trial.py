import pytest

from bacl.assembly.trial import try_to_build
from bacl.jobs import fit
from bacl.messages.errors import OptionError
from bacl.runs import training


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["detector.rpn.matcher.negative=0.8"], "negative=0.8 is above its positive=0.7"),
        (["metric.masks=true"], r"metric\.masks=true: the detector has no mask branch"),
        (
            ["head.loss.misclassified=false", "head.loss.overconfident=false"],
            "misclassified and overconfident are both off",
        ),
        (["detector.rpn.anchors.strides=[4,8,16]"], r"strides=\[4, 8, 16\]: the levels of the"),
        (["detector.pooling.strides=[8,16]"], r"pooling\.strides=\[8, 16\]: the levels of the"),
        (["stages.classifier.module.trainable=[nothing]"], "no parameter matches 'nothing'"),
        (
            ["stages.representation.init.detector=nowhere.ckpt"],
            "detector: nowhere.ckpt: no such",
        ),
        (["calibration=logn"], "LogN has gathered no statistics: .* train withou"),
        (["head=bce", "calibration=norcal"], "this loss does not score backgroun"),
        (
            ["head=seesaw", "calibration=tau_norm"],
            "weights of a linear layer, and this classifier is a NormalisedLinear",
        ),
        (["trainer.strategy=foo"], r"trainer\.strategy=foo"),
        (["trainer.accelerator=foo"], r"trainer\.accelerator=foo"),
    ],
)
def test_options_that_do_not_go_together_are_one_line_before_data_are_opened(
    tiny, tmp_path, monkeypatch, options, told
):
    monkeypatch.setattr(training, "open_data", lambda config: pytest.fail("data were opened"))
    with pytest.raises(Exception, match=told) as caught:
        fit.run(tiny(*options), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("experiment", ["bacl_cascade_lvis1", "bacl_mask_photos", "bacl_coco_lt"])
def test_a_trial_reads_nothing(compose_config, experiment):
    config = compose_config(f"+experiment={experiment}", "detector.backbone.weights=nowhere.pth")
    try_to_build(config)
    assert config.data.num_classes is None or config.data.num_classes > 1


@pytest.mark.parametrize(
    ("head", "place"), [("baseline", "stages.classifier.heads.baseline"), ("bacl", "head")]
)
def test_what_a_heads_part_refuses_is_told_with_the_heads_path(tiny, head, place):
    """LDAM wants a predictor of cosines, and not every head is made of `head`."""
    config = tiny(f"loss@{place}.loss=ldam", "fhm@head.hallucination=none")
    with pytest.raises(OptionError, match=rf"^stages\.classifier\.heads\.{head}: LDAM turns"):
        try_to_build(config)


def test_a_head_called_like_a_part_of_every_module_is_refused(tiny):
    config = tiny("+stages.classifier.heads.items=${head}")
    with pytest.raises(OptionError, match="items"):
        try_to_build(config)
