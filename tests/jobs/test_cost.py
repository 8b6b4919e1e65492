import json
import re
import shutil

import pytest
import torch

from bacl.checkpoints.handover import CheckpointError
from bacl.command.check import check_command, wrong_command
from bacl.jobs import cost
from bacl.messages.errors import OptionError

FAST = ("cost.images=2", "cost.warm_up=1", "cost.size=[64,96]", "cost.rois=30", "trainer=cpu")


def result(folder):
    return json.loads((folder / "cost/cost.json").read_text())


def test_random_weights_need_no_files(tiny, tmp_path, capsys):
    config = tiny("data.num_classes=12", f"data.root={tmp_path / 'none'}", *FAST)
    cost.run(config, tmp_path)
    content = result(tmp_path)
    rows = content["rows"]
    assert [row["head"] for row in rows] == ["bacl", "bacl", "baseline", "baseline"]
    assert len({row["work"]["published"] for row in rows}) == 1  # BACL costs no multiply-add more
    assert len({row["parameters"]["learnable"] for row in rows}) == 1
    assert all(0 < row["trained"] < row["parameters"]["learnable"] for row in rows)
    assert all(row["images_per_second"] > 0 for row in rows)
    assert (content["num_classes"], content["checkpoint"]) == (12, None)
    text = (tmp_path / "cost/cost.md").read_text()
    assert "random weights" in text
    assert "random weights" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    assert {path.name for path in (tmp_path / "cost").iterdir()} == {"cost.json", "cost.md"}


@pytest.fixture
def named(tiny_overrides, monkeypatch) -> list[str]:
    """The command names its data."""
    data = [text for text in tiny_overrides if text.startswith("data.")]
    monkeypatch.setattr(cost, "command_overrides", lambda: data)
    return data


def test_a_checkpoint_is_timed_on_validation_images(finished, tiny, named, tmp_path):
    path = shutil.copy(finished / "classifier/final.ckpt", tmp_path)
    options = [text for text in FAST if "size" not in text]
    cost.run(tiny(f"checkpoint={path}", "datamodule.num_workers=0", *options), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    content = result(tmp_path)
    assert [row["head"] for row in content["rows"]] == ["bacl", "baseline"]  # with their own scores
    assert content["rows"][0]["times"]["images"] == 2
    assert content["checkpoint"] == str(path)
    assert f"weights of {path}" in (tmp_path / "cost/cost.md").read_text()


def test_the_model_is_the_checkpoints(finished, compose_config, named, tmp_path):
    path = shutil.copy(finished / "classifier/final.ckpt", tmp_path)
    # Without an experiment the command describes a detector and a head of other sizes.
    options = ["datamodule.num_workers=0", *[text for text in FAST if "size" not in text]]
    cost.run(compose_config(f"checkpoint={path}", *named, *options), tmp_path / "run")
    content = result(tmp_path)
    saved = torch.load(path, weights_only=True)
    parameters = {key: value for key, value in saved["detector"].items() if "running" not in key}
    widths = {value.shape[0] for key, value in parameters.items() if key.startswith("fpn")}
    assert widths == {16}
    assert content["num_classes"] == 12
    assert [row["head"] for row in content["rows"]] == ["bacl", "baseline"]


def test_a_missing_checkpoint_is_told(tiny, tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        cost.run(tiny(f"checkpoint={tmp_path / 'no.ckpt'}", *FAST), tmp_path)
    assert not (tmp_path / "cost").exists()


@pytest.mark.parametrize(("data", "classes"), [("lvis_v0.5", 1230), ("lvis_v1.0", 1203)])
def test_the_number_of_categories_of_a_release_is_known(compose_config, tmp_path, data, classes):
    config = compose_config(f"data={data}", f"data.root={tmp_path}")
    assert cost.number_of_classes(config) == classes


def test_the_number_of_categories_is_asked_for_or_counted(compose_config, finished, tiny, tmp_path):
    unknown = compose_config("data=custom", f"data.root={tmp_path}")
    with pytest.raises(OptionError, match=r"no .*train\.json to count.*data\.num_classes="):
        cost.number_of_classes(unknown)
    file = tiny().data.train.annotations  # made by the finished run
    counted = compose_config("data=custom", f"data.train.annotations={file}")
    assert cost.number_of_classes(counted) == 12
    given = compose_config("data=custom", "data.num_classes=5")
    assert cost.number_of_classes(given) == 5


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("cost.images=0", r"cost\.images=0"),
        ("cost.warm_up=-1", r"cost\.warm_up=-1"),
        ("cost.size=[800]", r"cost\.size=\[800\]: expected a list of 2 values"),
        ("cost.candidates=[]", "a list of at least 1 values"),
        ("cost.candidates=[0]", "at least 1"),
    ],
)
def test_bad_options_are_refused(tiny, option, message):
    (line,) = wrong_command(tiny("data.num_classes=12", option))
    assert re.search(message, line)


def test_a_misspelt_option_is_refused():
    with pytest.raises(SystemExit, match="did you mean candidates"):
        check_command(["job=cost", "+cost.candidate=[3]"])
