"""A short word that is none here is told which option was meant."""

import pytest

from bacl.command.check import check_command
from bacl.command.completion import completed


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ("+experiment=bacl_demo", "epochs=5"),
            (
                "epochs=5: no such option here; did you mean "
                "stages.representation.schedule.epochs=5 stages.classifier.schedule.epochs=5?",
                "+experiment=bacl_custom has the word",
            ),
        ),
        (("+experiment=bacl_demo", "batch=4"), ("did you mean datamodule.batch_size=4?",)),
        (("+experiment=bacl_demo", "lr0=0.1"), ("stages.classifier.schedule.learning_rate=0.1",)),
        (("+experiment=bacl_demo", "device=0"), ("did you mean trainer=cpu, trainer=gpu",)),
        (("+experiment=bacl_custom", "imgsz=320"), ("did you mean image_size=320?",)),
        (
            ("+experiment=bacl_demo", "augment=strong"),
            ("augment=strong: no such", "augment@stages.classifier.augment=…"),
        ),
        (
            ("+experiment=bacl_demo", "image_size=64"),
            ("stages.representation.augment.test.short_sides=[64]",),
        ),
        (("+experiment=bacl_demo", "epoch=5"), ("epoch: no such option",)),
    ],
)
def test_the_option_is_named(words, parts):
    with pytest.raises(SystemExit) as caught:
        completed(words)
    for part in parts:
        assert part in str(caught.value)


def test_an_augmentation_that_there_is_none_of_is_told_the_others():
    with pytest.raises(SystemExit, match=r"weird.*light, none, own_size, strong"):
        completed(["+experiment=bacl_custom", "augment=weird"])


def test_what_the_data_choose_is_shown_as_values(tmp_path):
    shown = ["+experiment=bacl_custom", f"data.root={tmp_path}", "augment=none", "--cfg", "job"]
    given = completed(shown)
    assert "--resolve" in given
    assert "augmentation=none" in given
    assert not check_command(["+experiment=bacl_demo", "--cfg", "job"])


def test_a_longer_word_that_wins_is_told(tmp_path, capsys):
    words = ("stages.classifier.schedule.warmup_steps=7", "datamodule.num_workers=0")
    completed(["+experiment=bacl_custom", f"data.root={tmp_path}", *words])
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"{words[0]}: as the command says; the data would choose it"
