import pytest
from omegaconf import OmegaConf

from bacl.jobs.check import check_command
from bacl.jobs.values import of_other_kinds


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("datamodule.batch_size=0", "expected a whole number of at least 1"),
        ("datamodule.batch_size=2.5", "expected a whole number of at least 1"),
        ("datamodule.val_batch_size=null", "expected a whole number of at least 1"),
        ("datamodule.num_workers=-1", "expected a whole number of at least 0"),
        ("checkpoint_every_minutes=-1", "expected a number of at least 0"),
        ("checkpoint_every_minutes=nan", "expected a number"),
        ("checkpoint_every_minutes=abc", r"expected a number, such as 5\.0"),
        ("report.images=2.5", "expected a whole number of at least 1"),
        ("report.score_threshold=1.5", "expected a number of at least 0 and at most 1"),
        ("report.score_threshold=-0.1", "expected a number of at least 0 and at most 1"),
        ("checkpoint_every_minutes=inf", "expected a number of at least 0 and at most 525600"),
        ("seed=abc", "expected a number, such as 0"),
        ("seed=4294967296", "expected a whole number of at least 0 and at most 4294967295"),
        ("trainer.check_val_every_n_epoch=0", "expected a whole number of at least 1"),
        ("trainer.limit_val_batches=0", "expected a number above 0"),
        ("trainer.limit_train_batches=0.0", "expected a number above 0"),
        ("trainer.accumulate_grad_batches=0", "expected a whole number of at least 1"),
        ("head.loss.alpha=abc", r"expected a number, such as 0\.85"),
        ("detector.fpn.channels=true", "expected a number, such as 64"),
        ("masks=abc", "expected true or false"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_what_can(option, message):
    key, _, value = option.partition("=")
    shown = {"null": "None", "true": "True"}.get(value, value)
    with pytest.raises(SystemExit, match=f"^{key}={shown}: {message}"):
        check_command(["+experiment=bacl_demo", option])


@pytest.mark.parametrize(
    "option",
    [
        "trainer.limit_val_batches=0.5",  # null by default
        "trainer.devices=auto",
        "trainer.deterministic=warn",
        "head.loss.threshold=1",
        "report.reference=null",
        "report.score_threshold=0.5",
        "report.score_threshold=1",
        "checkpoint_every_minutes=1e-4",
        "datamodule.num_workers=${datamodule.batch_size}",
        "head@stages.classifier.heads.baseline=bce",
        "~head@stages.classifier.heads.baseline",
    ],
)
def test_what_can_be_meant_passes(option):
    removed = ["report.reference=null"] if option.startswith("~") else []
    check_command(["+experiment=bacl_demo", option, *removed])


def test_only_what_the_command_sets_is_judged_by_its_kind():
    before = OmegaConf.create({"a": 1, "b": {"c": True, "d": "text"}, "e": [1]})
    after = OmegaConf.create({"a": 2.5, "b": {"c": "no", "d": 3}, "e": "x", "f": "new"})
    assert list(of_other_kinds(before, after)) == ["b.c=no: expected true or false"]
