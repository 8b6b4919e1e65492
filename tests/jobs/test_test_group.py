"""Many evaluations in one pass leave what each would have left alone."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import bacl
from bacl.assembly.data import build_data, open_data
from bacl.assembly.restored import restore_model
from bacl.checkpoints.handover import load_stage
from bacl.checkpoints.taken_over import CALIBRATION
from bacl.export import ExportableDetector
from bacl.export.suppression import survivors
from bacl.heads import Calibration
from bacl.heads.calibrations import LogN
from bacl.jobs import test as test_job
from bacl.jobs import test_group
from bacl.messages.errors import OptionError
from bacl.one_pass.variants import PlannedTest, write_variants
from bacl.runs.outcome import read_outcome
from bacl.stages.detection import Variant, detect

COMMON = ["job=test", "data=builtin"]
SETTINGS = (["detector.postprocess.nms_iou=0.3"], ["detector.postprocess.max_detections=5"], [])


@pytest.fixture
def commanded(monkeypatch):
    """Lets jobs see the overrides of a command."""

    def command(overrides: list[str]) -> None:
        for job in (test_job, test_group):
            monkeypatch.setattr(job, "command_overrides", lambda: overrides)

    return command


def copied(finished: Path, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name / "classifier"
    folder.mkdir(parents=True)
    return Path(shutil.copy(finished / "classifier/final.ckpt", folder))


@pytest.mark.parametrize("pictures", ["blank", pytest.param("rendered", marks=pytest.mark.slow)])
def test_each_setting_ends_as_alone(pictures, finished, tiny, tmp_path, commanded, request):
    if pictures == "rendered":
        request.getfixturevalue("rendered")
    alone, together = (copied(finished, tmp_path, name) for name in ("alone", "together"))
    tests = []
    for setting in SETTINGS:
        overrides = [*COMMON, *setting]
        commanded(overrides)
        test_job.run(tiny(f"checkpoint={alone}", *overrides), tmp_path)
        tests.append(PlannedTest.of(tiny(*overrides), overrides))
    write_variants(tmp_path / "group", tests)
    commanded(COMMON)
    test_group.run(tiny(f"checkpoint={together}", *COMMON), tmp_path / "group")
    folders = sorted(path.name for path in alone.parent.glob("test_*"))
    assert sorted(path.name for path in together.parent.glob("test_*")) == folders
    results = set()
    for folder in folders:
        for name in ("results.json", "per_category.csv", "figures/detections.png"):
            own = (together.parent / folder / name).read_bytes()
            assert own == (alone.parent / folder / name).read_bytes(), name
        results.add((alone.parent / folder / "per_category.csv").read_text())
        assert json.loads((together.parent / folder / "DONE").read_text())["stage"] == "classifier"
    assert len(results) == len(SETTINGS)


class Inverted(Calibration):
    """Ranks everything the other way round."""

    def forward(self, logits, probabilities, level):
        return 1 - probabilities(logits)


def test_variants_of_a_head_share_its_logits_and_nothing_else(tiny, finished, monkeypatch):
    stage = restore_model(tiny(), finished).stage
    config = tiny()
    open_data(config)
    data = next(iter(build_data(config, config.stages.classifier).val_dataloader()))
    head, calls = stage.heads["bacl"], []
    logits = head.logits
    monkeypatch.setattr(head, "logits", lambda levels: calls.append(1) or logits(levels))
    variants = {
        "plain": Variant("bacl"),
        "inverted": Variant("bacl", Inverted()),
        "other": Variant("baseline"),
    }
    found = detect(stage.detector, stage.live_heads, data, variants)
    assert len(calls) == len(data.targets)
    as_trained = detect(stage.detector, stage.live_heads, data)
    assert set(as_trained) == {"bacl", "baseline"}
    for mine, theirs in (("plain", "bacl"), ("other", "baseline")):
        for one, other in zip(found[mine], as_trained[theirs], strict=True):
            assert torch.equal(one.scores, other.scores)
            assert torch.equal(one.boxes, other.boxes)
    assert not torch.equal(found["inverted"][0].scores, found["plain"][0].scores)


@pytest.mark.slow
def test_what_gathers_observes_training_images_before_it_scores(
    tiny, finished, tmp_path, commanded
):
    path = copied(finished, tmp_path, "run")
    calibrations = ("logn", "norcal")
    tests = []
    for name in calibrations:
        overrides = [*COMMON, f"calibration={name}"]
        tests.append(PlannedTest.of(tiny(*overrides), overrides))
        assert [*tests[-1].nodes] == ["calibration"]
    write_variants(tmp_path / "group", tests)
    commanded(COMMON)
    test_group.run(tiny(f"checkpoint={path}", *COMMON), tmp_path / "group")
    together = {f.name: (f / "per_category.csv").read_bytes() for f in path.parent.glob("test_*")}
    assert len(set(together.values())) == 2
    alone = copied(finished, tmp_path, "alone")
    for name in calibrations:
        overrides = [*COMMON, f"calibration={name}"]
        commanded(overrides)
        test_job.run(tiny(f"checkpoint={alone}", *overrides), tmp_path)
    found = {f.name: (f / "per_category.csv").read_bytes() for f in alone.parent.glob("test_*")}
    assert found == together
    kept_states = []
    for folder in (path.parent, alone.parent):  # of logn alone: the other gathers nothing
        (kept,) = folder.glob("test_*/calibrated.ckpt")
        states = load_stage(kept)["heads"]
        kept_states.append({k: v for k, v in states["bacl"].items() if CALIBRATION in k})
    assert len(kept_states[0]) == 3
    torch.testing.assert_close(*kept_states, rtol=0, atol=0)


@pytest.mark.slow
def test_what_was_gathered_calibrates_without_training_images(tiny, finished, tmp_path, commanded):
    path = copied(finished, tmp_path, "run")
    commanded(logn := [*COMMON, "calibration=logn"])
    with pytest.raises(
        OptionError, match=r"run\.py job=test checkpoint=\S+ calibration=logn data="
    ):
        restore_model(tiny(f"checkpoint={path}", *logn), tmp_path, logn)
    test_job.run(tiny(f"checkpoint={path}", *logn), tmp_path)
    (kept,) = path.parent.glob("test_*/calibrated.ckpt")
    gathered = restore_model(tiny(f"checkpoint={kept}"), tmp_path)
    loaded = bacl.load(kept)
    for restored in (gathered, loaded.restored):
        calibrations = [head.calibration for head in restored.stage.live_heads.values()]
        assert [type(each) for each in calibrations] == [LogN, LogN]
        assert not any(each.waits for each in calibrations)
    with pytest.raises(OptionError, match="without calibration="):
        restore_model(tiny(f"checkpoint={kept}", *logn), tmp_path, logn)
    program = ExportableDetector(
        gathered.stage.detector, gathered.stage.heads["bacl"], [96, 96], 300, survivors
    )
    picture = torch.zeros(3, 96, 96, dtype=torch.uint8), torch.tensor([96, 96])
    torch.export.export(program, picture)


def test_what_cannot_be_fails_alone(tiny, finished, tmp_path, commanded):
    path = copied(finished, tmp_path, "run")
    tests = [PlannedTest.of(tiny(*COMMON, *each), [*COMMON, *each]) for each in SETTINGS[:2]]
    tests[0].nodes["detector.postprocess"]["nms_iou"] = 0.0
    write_variants(tmp_path / "group", tests)
    commanded(COMMON)
    test_group.run(tiny(f"checkpoint={path}", *COMMON), tmp_path / "group")
    ends = sorted(path.parent.glob("test_*"), key=lambda folder: (folder / "DONE").exists())
    assert [read_outcome(folder).status for folder in ends] == ["failed", "done"]
    assert "nms_iou is 0.0" in read_outcome(ends[0]).reason
