import json
import shutil
from copy import copy
from pathlib import Path

import pytest
import torch

import bacl
from bacl.data.annotations.validation import AnnotationError
from bacl.data.images.picture_file import PictureError
from bacl.data.statistics import CategoryStatistics
from bacl.heads.calibrations import NorCal
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError


@pytest.fixture
def val(tiny, finished) -> tuple[str, str]:
    data = tiny().data.val
    return data.annotations, data.images


@pytest.fixture
def edited(val, tmp_path):
    """The validation file after a change."""

    def make(change):
        content = json.loads(Path(val[0]).read_text(encoding="utf-8"))
        change(content)
        path = tmp_path / "edited.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return make


def without_groups(content):
    for category in content["categories"]:
        del category["frequency"]


def written(results: Path) -> dict:
    """Measures of a job; -1 is null in a file, and what is no head's is text."""
    content = json.loads(results.read_text(encoding="utf-8"))
    heads = {name: each for name, each in content.items() if isinstance(each, dict)}
    return {
        head: {key: -1.0 if value is None else value for key, value in each.items()}
        for head, each in heads.items()
    }


def test_measures_are_those_of_the_job_to_the_bit(model, val, finished):
    before = torch.get_rng_state()
    found = bacl.evaluate(model, *val)
    assert found == written(finished / "classifier/results.json")
    assert found["bacl"]["AP"] > 0
    assert set(found["bacl"]) >= {"AP", "APr", "APc", "APf", "AR@300"}
    assert bacl.evaluate(model, *val, num_workers=1) == found
    assert torch.equal(torch.get_rng_state(), before)


def test_measures_of_another_metric_are_those_of_the_job(
    tiny, compose_config, changed, val, tmp_path, monkeypatch
):
    """Its groups are by counts of the training data, which are in the checkpoint."""
    metric = compose_config("metric=coco_lt", "metric.boundaries=[3,6]").metric
    node = {key: metric[key] for key in ("_target_", "_partial_", "max_detections")}
    counts = {"_target_": "bacl.data.statistics.CategoryStatistics.load", "annotations": "gone"}
    node |= {"masks": False, "boundaries": [3, 6], "statistics": counts}
    path = changed(lambda content: content["config"].update(metric=node))
    found = bacl.evaluate(bacl.load(path), *val)
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    test_job.run(tiny("job=test", f"checkpoint={path}"), tmp_path)
    (results,) = tmp_path.glob("test_*/results.json")
    assert found == written(results)
    assert set(found["bacl"]) >= {"AP1", "AP2", "AP3"}


def test_variants_are_judged_in_one_pass_as_by_the_job(
    model, tiny, finished, val, tmp_path, monkeypatch
):
    detector, unknown = model.restored.stage.detector, CategoryStatistics.unknown(["x"] * 12)
    suppression = copy(detector.postprocess)
    suppression.max_detections = 5
    variants = {
        "norcal": bacl.Variant("bacl", NorCal(12, gamma=0.6, statistics=unknown)),
        "plain": bacl.Variant("bacl"),
        "suppressed": bacl.Variant("baseline", postprocess=suppression),
    }
    looked, pyramid = [], detector.pyramid
    monkeypatch.setattr(detector, "pyramid", lambda *x: looked.append(1) or pyramid(*x))
    found = bacl.evaluate(model, *val, variants=variants)
    assert len(looked) == 3
    assert list(found) == list(variants)
    as_trained = bacl.evaluate(model, *val)
    assert found["plain"] == as_trained["bacl"]
    assert found["suppressed"] != as_trained["baseline"]
    path = Path(shutil.copy(finished / "classifier/final.ckpt", tmp_path))
    typed = ["data=builtin", "calibration=norcal"]
    monkeypatch.setattr(test_job, "command_overrides", lambda: typed)
    test_job.run(tiny("job=test", f"checkpoint={path}", *typed[1:]), tmp_path)
    (results,) = tmp_path.glob("test_*/results.json")
    assert found["norcal"] == written(results)["bacl"]
    for wrong, told in (({"a.b": bacl.Variant("bacl")}, "a.b"), ({"a": bacl.Variant("x")}, "=x: ")):
        with pytest.raises(OptionError, match=told):
            bacl.evaluate(model, *val, variants=wrong)


def test_groups_are_those_of_the_training_data(model, changed, val, edited):
    expected = bacl.evaluate(model, *val)
    bare = edited(without_groups)
    assert bacl.evaluate(model, bare, val[1]) == expected
    older = bacl.load(changed(lambda content: content.pop("training")))
    assert bacl.evaluate(older, *val) == expected  # the file has them too
    with pytest.raises(OptionError, match=r"written by an earlier version, .* job=test"):
        bacl.evaluate(older, bare, val[1])


def test_counts_come_back_as_they_were(model, tiny):
    expected = CategoryStatistics.load(tiny().data.train.annotations)
    found = model.restored.categories.training
    assert found.plain() == expected.plain()
    assert found.names == expected.names


def test_mistakes_are_told(model, val, edited, tmp_path):
    shutil.copytree(val[1], tmp_path / "images")
    next((tmp_path / "images").iterdir()).unlink()
    with pytest.raises(PictureError, match="00000"):
        bacl.evaluate(model, val[0], tmp_path / "images")
    other = edited(lambda content: content["categories"][0].update(name="elsewhere"))
    with pytest.raises(AnnotationError, match=r"'elsewhere'.* is '.*' in .*final\.ckpt"):
        bacl.evaluate(model, other, val[1])
    with pytest.raises(bacl.UserError, match=r"none\.json"):
        bacl.evaluate(model, tmp_path / "none.json", val[1])
    with pytest.raises(OptionError, match="num_workers=-1"):
        bacl.evaluate(model, *val, num_workers=-1)
    assert not len(model.restored.stage.metrics)
