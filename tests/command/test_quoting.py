import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bacl.command.quoting import quoted, with_quoted_paths


@pytest.mark.parametrize(
    "path",
    [
        "runs/bacl_demo/head.loss.alpha=0.7,seed=1/final.ckpt",
        "it's here/a (1)/[x]{y}/final.ckpt",
        "back\\slash\\",
        "quote\\'s",
    ],
)
def test_a_quoted_value_is_what_it_was(path):
    override = OverridesParser.create().parse_override(f"checkpoint={quoted(path)}")
    assert override.value() == path
    assert not override.is_sweep_override()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Makes files below a folder that is then the current one."""

    def made(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    monkeypatch.chdir(tmp_path)
    return made


def values(override):
    """What Hydra makes of an override: every value of a sweep, or the only one."""
    parsed = OverridesParser.create().parse_override(with_quoted_paths(override))
    return list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [parsed.value()]


@pytest.mark.parametrize(
    "key", ["checkpoint", "predict.images", "+stages.classifier.init.detector", "data.root"]
)
def test_a_path_of_a_run_needs_no_quotes(files, key):
    files("runs/a=0.7,b=1/final.ckpt")
    for path in ("runs/a=0.7,b=1/final.ckpt", "runs/a=0.7,b=1"):
        assert values(f"{key}={path}") == [path]


def test_a_path_that_is_still_to_come_needs_none_either():
    assert values("output=runs/a=0.7/new.ckpt") == ["runs/a=0.7/new.ckpt"]
    assert values("predict.images=runs/a=0.7/*.jpg") == ["runs/a=0.7/*.jpg"]


def test_a_sweep_over_files_stays_one(files):
    files("a.ckpt", "b.ckpt", "runs/x=1,y=2/a.ckpt", "runs/x=1,y=3/a.ckpt")
    assert with_quoted_paths("checkpoint=a.ckpt,b.ckpt") == "checkpoint=a.ckpt,b.ckpt"
    both = ["runs/x=1,y=2/a.ckpt", "runs/x=1,y=3/a.ckpt"]
    found = values(f"checkpoint={','.join(both)}")
    assert [text.text for text in found] == both


def test_a_file_of_the_very_name_comes_before_a_sweep(files):
    files("a.ckpt", "b.ckpt", "a.ckpt,b.ckpt")
    assert values("checkpoint=a.ckpt,b.ckpt") == ["a.ckpt,b.ckpt"]


@pytest.mark.parametrize(
    "override",
    [
        "seed=0,1", "head.loss.alpha=0.7", "~head@stages.classifier.heads.bacl", "--multirun",
        "checkpoint='runs/a=1/b.ckpt'", "data.train.images=[a/b,c]", "cost.size=[1,2]", "output=",
        "head.loss.alpha==0.7", "sampler=choice(random,repeat_factor)",
    ],
)  # fmt: skip
def test_everything_else_is_left_alone(override):
    assert with_quoted_paths(override) == override


def test_a_sweep_may_be_longer_than_a_name_of_a_file():
    seeds = list(range(100))
    assert values(f"seed={','.join(map(str, seeds))}") == seeds
