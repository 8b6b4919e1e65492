"""Every detector composes with every head, without an option that nothing reads."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from bacl.assembly.build import build_stage
from bacl.command.check import CONF, wrong_command

DETECTORS = sorted(path.stem for path in (CONF / "detector").glob("*.yaml"))
HEADS = sorted(path.stem for path in (CONF / "head").glob("*.yaml"))
CLASSIFIERS = ("first", "second", "third")


def composed(*overrides: str):
    GlobalHydra.instance().clear()
    given = ["data.num_classes=12"]
    if "detector=dumped" not in overrides:  # which has no backbone
        given.append("detector.backbone.weights=null")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*overrides, *given])


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_takes_all_its_options(name):
    config = composed(f"detector={name}")
    assert not wrong_command(config)
    assert (CONF / "detector" / f"{name}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("experiment", ["bacl_demo", "bacl_photos"])
def test_an_experiment_takes_a_cascade(experiment, counts_file):
    files = [f"data.train.annotations={counts_file}", f"data.val.annotations={counts_file}"]
    config = composed(f"+experiment={experiment}", "detector/parts@detector=cascade_rcnn", *files)
    assert not wrong_command(config)
    for name in ("representation", "classifier"):
        stage = build_stage(config, name, pretrained=False)
        assert tuple(stage.detector.box_head) == CLASSIFIERS
        for head in stage.heads.values():
            assert [prefix for prefix, _ in head.named_classifiers()] == [
                f"{stage}." for stage in CLASSIFIERS
            ]


@pytest.fixture(scope="module")
def heads_of_a_cascade(counts_file):
    """All of conf/head, built side by side: one composition in place of one for each."""
    beside = [f"+head@stages.classifier.heads.{each}={each}" for each in HEADS if each != "bacl"]
    frequency = "indicator@stages.classifier.heads.fcbl.loss.indicator=instance_frequency"
    counted = f"data.train.annotations={counts_file}"
    config = composed("detector=cascade_small", counted, *beside, frequency)
    return build_stage(config, "classifier", pretrained=False).heads


@pytest.mark.parametrize("head", HEADS)
def test_every_head_is_built_for_a_cascade(head, heads_of_a_cascade):
    classifiers = heads_of_a_cascade[head].named_classifiers()
    criteria = [classifier.criterion for _, classifier in classifiers]
    assert len({id(criterion) for criterion in criteria}) == 3
    assert len({type(criterion) for criterion in criteria}) == 1
