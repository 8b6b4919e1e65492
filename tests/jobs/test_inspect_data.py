"""job=data, from a command's configuration to its files."""

import json
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from bacl.assembly.advised import advised
from bacl.command.check import CONF, check_command, wrong_command
from bacl.data.missing_files import MissingDataError
from bacl.jobs import inspect_data
from bacl.messages.errors import OptionError
from bacl.reporting.inspection_lines import SIZE_TITLES
from bacl.speed.step_times import StepTimes

FAST = ("trainer=cpu", "inspection.steps=1", "datamodule.num_workers=0")


@pytest.fixture(scope="module")
def inspected(finished, tiny, tmp_path_factory):
    """The folder of an inspection of the data that the finished run made."""
    folder = tmp_path_factory.mktemp("inspected")
    inspect_data.run(tiny(*FAST), folder)
    return folder / "data"


def test_everything_is_written(inspected):
    names = {str(path.relative_to(inspected)) for path in inspected.rglob("*") if path.is_file()}
    assert {"data.md", "data.json", "figures/instances.png", "figures/object_sizes.png"} <= names


def test_numbers_are_those_of_the_files(inspected, tiny):
    content = json.loads((inspected / "data.json").read_text(encoding="utf-8"))
    train = json.loads(Path(tiny().data.train.annotations).read_text(encoding="utf-8"))
    assert content["splits"]["train"]["images"] == len(train["images"]) == 16
    assert content["splits"]["train"]["annotations_in_file"] == len(train["annotations"])
    assert len(content["categories"]) == 12
    for record in train["categories"]:
        (row,) = [row for row in content["categories"] if row["id"] == record["id"]]
        own = [each for each in train["annotations"] if each["category_id"] == record["id"]]
        assert row["train_objects"] == row["trained_objects"] == len(own)
        assert row["train_images"] == len({each["image_id"] for each in own})
    (view, evaluation) = content["views"]
    assert view["name"] == "representation, classifier"
    assert evaluation["name"] == "evaluation"
    assert sum(view["counts"]) == view["objects"] == len(train["annotations"])


def test_every_field_is_in_the_documents(inspected):
    told = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    content = json.loads((inspected / "data.json").read_text(encoding="utf-8"))
    parts = {key: content[key][0] for key in ("categories", "views", "steps", "seen_together")}
    parts |= {"splits": content["splits"]["train"], "preset": content["preset"]["parts"][0]}
    fields = {*content, *(field for part in parts.values() for field in part)}
    assert {field for field in fields if f"`{field}" not in told} == set()


def test_both_stages_are_timed(inspected):
    content = json.loads((inspected / "data.json").read_text(encoding="utf-8"))
    representation, classifier = content["steps"]
    assert (representation["stage"], classifier["stage"]) == ("representation", "classifier")
    assert representation["steps_per_epoch"] == 4  # 16 images, 4 a step
    assert representation["seconds"] > representation["waiting"] >= 0
    hours = representation["seconds"] * 4 * 2 / 3600
    assert representation["hours"] == pytest.approx(hours)
    assert representation["memory_mib"] > 50
    assert content["not_timed"] == []


def test_the_steps_are_those_of_the_command_to_paste(
    finished, tiny_overrides, tmp_path, monkeypatch
):
    """Of a batch that the preset changes; what is timed otherwise is another training."""
    given = [*tiny_overrides, *FAST, "datamodule.batch_size=16"]
    timed = []
    monkeypatch.setattr(inspect_data, "command_overrides", lambda: given)
    monkeypatch.setattr(inspect_data, "time_steps", lambda *asked: timed.append(asked) or TIMES)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        inspect_data.run(compose("config", overrides=given), tmp_path)
        content = json.loads((tmp_path / "data/data.json").read_text(encoding="utf-8"))
        words = shlex.split(content["preset"]["command"])[2:]
        pasted = compose("config", overrides=words)
    (config, _, steps), *_ = timed
    assert pasted.datamodule.batch_size < 16
    assert config.datamodule.batch_size == pasted.datamodule.batch_size
    for name, stage in config.stages.items():
        assert stage.schedule.epochs == pasted.stages[name].schedule.epochs
    assert (config.data.num_classes, steps) == (12, 1)
    page = (tmp_path / "data/data.md").read_text(encoding="utf-8")
    assert "- timed with the preset:" in page


TIMES = StepTimes("representation", 1.0, 0.1, 1, 1, 16, 2, None, "CPU")


def test_a_preset_that_cannot_be_composed_is_told(finished, tiny_overrides, tmp_path, monkeypatch):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[*tiny_overrides, *FAST])
        told = r"the command with the preset: .*no_such_option"
        with pytest.raises(OptionError, match=told):
            advised(config, [*tiny_overrides, "no_such_option=1"])


def test_the_page_tells_the_command_to_paste(inspected):
    page = (inspected / "data.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```bash\n(.*)\n```", page)
    assert text.startswith("python run.py ")
    for title in ("Images and objects", "Categories", "Found", "Preset", "Time and memory"):
        assert f"## {title}" in page


def test_faults_are_no_reason_to_stop(finished, tiny, tmp_path, capsys, monkeypatch):
    """Pictures that cannot be used are left out of the steps, and told."""
    monkeypatch.setenv("COLUMNS", "80")
    config = tiny(*FAST, f"data.root={tmp_path / 'own'}", "datamodule.batch_size=2")
    inspect_data.run(tiny(*FAST, f"data.root={tmp_path / 'own'}", "inspection.steps=0"), tmp_path)
    picture, other, copied = sorted((tmp_path / "own/train").iterdir())[3:6]
    picture.write_bytes(picture.read_bytes()[:300])
    copied.write_bytes(other.read_bytes())
    inspect_data.run(config, tmp_path / "again")
    content = json.loads((tmp_path / "again/data/data.json").read_text(encoding="utf-8"))
    kinds = {finding["kind"]: finding for finding in content["findings"]}
    ((place,),) = kinds["unreadable_pictures"]["places"]
    assert place["file_name"] == picture.name
    assert len(content["steps"]) == 2
    assert (tmp_path / "again/data/unusable.txt").read_text() == f"{picture.name}\n"
    assert kinds["same_picture_twice"]["count"] == 1
    assert (tmp_path / "again/data/figures/suspects.jpg").is_file()
    told = capsys.readouterr().out
    assert "1 error, 1 warning, 0 notes" in told
    assert re.search(rf"^    train: {re.escape(picture.name)}( |$)", told, re.MULTILINE)  # whole
    assert all(f"│ {title} " in told for title in SIZE_TITLES[1:])  # none is broken


def test_what_was_found_is_there_before_anything_is_timed(finished, tiny, tmp_path, monkeypatch):
    def end(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_data, "time_steps", end)
    with pytest.raises(KeyboardInterrupt):
        inspect_data.run(tiny(*FAST), tmp_path)
    content = json.loads((tmp_path / "data/data.json").read_text(encoding="utf-8"))
    assert content["preset"]
    assert content["steps"] == []
    assert "## Preset" in (tmp_path / "data/data.md").read_text(encoding="utf-8")


def test_missing_annotations_are_told(compose_config, tmp_path):
    config = compose_config("data=custom", f"data.root={tmp_path}", *FAST)
    with pytest.raises(MissingDataError, match=r"no file .*train\.json"):
        inspect_data.run(config, tmp_path)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("inspection.steps=-1", r"inspection\.steps=-1"),
        ("inspection.examples=0", r"inspection\.examples=0"),
        ("inspection.pictures=1", r"inspection\.pictures=1"),
    ],
)
def test_bad_options_are_refused(tiny, option, message):
    (line,) = wrong_command(tiny("data.num_classes=12", option))
    assert re.search(message, line)


def test_another_job_takes_no_notice(tiny):
    with pytest.raises(SystemExit, match=r"job=fit does not read it, only job=data"):
        check_command(["+experiment=bacl_demo", "inspection.steps=1"])
