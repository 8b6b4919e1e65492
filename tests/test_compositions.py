"""What is put together once is what Hydra composes each time."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from bacl.command.check import CONF
from tests.compositions import compose_anew

DEMO = "+experiment=bacl_demo"
COMMANDS = [
    (DEMO, "seed=3", "detector.rpn.training={per_level: 50}"),
    (DEMO, "head=gumbel", "+head.loss.new=1", "~seed"),
    ("augment@stages.classifier.augment=copy_paste", "hydra.verbose=true", "~logger"),
]


def composed(*overrides, conf=CONF):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_what_hydra_composes(command, monkeypatch):
    composed(*command)  # by now, all of it is kept
    kept = composed(*command)
    with monkeypatch.context() as patch:
        compose_anew(patch)
        anew = composed(*command)
    assert kept == anew
    assert OmegaConf.to_yaml(kept) == OmegaConf.to_yaml(anew)
    for node in ("detector", "stages.classifier", "hydra", "hydra.job"):
        ours, theirs = OmegaConf.select(kept, node), OmegaConf.select(anew, node)
        assert OmegaConf.get_type(ours) is OmegaConf.get_type(theirs)
        assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(theirs)


def test_what_a_test_changes_is_its_own():
    first = composed(DEMO)
    first.seed, first.detector.rpn.training.per_level = 77, 78
    again = composed(DEMO)
    assert again.seed != 77
    assert again.detector.rpn.training.per_level != 78


def test_what_cannot_be_composed_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(ConfigCompositionException, match="Could not find 'head/nonsense'"):
            composed(DEMO, "head=nonsense")
        with pytest.raises(ConfigCompositionException, match="Could not override 'sead'"):
            composed(DEMO, "sead=3")


def test_other_folders_are_read_each_time(tmp_path):
    for number in (1, 2):
        (tmp_path / "config.yaml").write_text(f"seed: {number}", encoding="utf-8")
        assert composed(conf=tmp_path).seed == number
