"""job=import and job=export on the tiny run."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.command.known_jobs import JOBS
from bacl.data.missing_files import MissingDataError
from bacl.files.saving import save
from bacl.jobs import export, fit, import_checkpoint
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError

MMDET = "export.format=mmdet"
ONE_HEAD = ("~head@stages.classifier.heads.baseline", "report.reference=null")


@pytest.fixture(scope="session")
def published(finished, tiny, tmp_path_factory):
    """The finished run's classifier stage as a published file."""
    path = tmp_path_factory.mktemp("published") / "bacl.pth"
    checkpoint = f"checkpoint={finished / 'classifier/final.ckpt'}"
    options = (MMDET, "export.head=bacl", f"export.output={path}")
    export.run(tiny(*ONE_HEAD, checkpoint, *options), finished)
    return path


def test_every_job_has_its_module():
    assert all(callable(import_module(module).run) for module in JOBS.values())


def test_there_and_back_is_the_same_to_the_bit(published, finished, tiny, tmp_path):
    import_checkpoint.run(tiny(*ONE_HEAD, f"checkpoint={published}"), tmp_path)
    before = load_stage(finished / "classifier/final.ckpt")
    after = load_stage(tmp_path / "classifier/final.ckpt")
    assert after["categories"] == before["categories"]
    for one, other in (
        (before["detector"], after["detector"]),
        (before["heads"]["bacl"], after["heads"]["bacl"]),
    ):
        assert one.keys() == other.keys()
        tensors = [key for key, value in one.items() if isinstance(value, torch.Tensor)]
        assert all(torch.equal(one[key], other[key]) for key in tensors)
    export.run(tiny(*ONE_HEAD, MMDET), tmp_path)
    again = tmp_path / "classifier/final_bacl.pth"
    first, second = (torch.load(path) for path in (published, again))
    assert first["meta"] == second["meta"]
    assert len(first["meta"]["CLASSES"]) == 12
    assert first["state_dict"].keys() == second["state_dict"].keys()
    assert all(torch.equal(v, second["state_dict"][k]) for k, v in first["state_dict"].items())


def test_an_imported_checkpoint_is_evaluated(published, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(test_job, "command_overrides", lambda: ["data=builtin"])
    output = tmp_path / "imported.ckpt"
    import_checkpoint.run(tiny(*ONE_HEAD, f"checkpoint={published}", f"output={output}"), tmp_path)
    average_precision = test_job.run(tiny(*ONE_HEAD, f"checkpoint={output}"), tmp_path)
    assert 0 <= average_precision <= 1
    assert list(tmp_path.glob("test_val_*/results.json"))


def test_the_classifier_stage_starts_from_an_imported_one(finished, tiny, tmp_path):
    stage, path = "stage=representation", tmp_path / "representation.pth"
    checkpoint = f"checkpoint={finished / 'representation/final.ckpt'}"
    export.run(tiny(stage, checkpoint, MMDET, f"export.output={path}"), finished)
    import_checkpoint.run(tiny(stage, f"checkpoint={path}"), tmp_path)
    fit.run(tiny(), tmp_path)
    (source,) = load_stage(tmp_path / "representation/final.ckpt")["heads"].values()
    norms = source["first.predictor.weight"].norm(dim=1).numpy()
    with np.load(tmp_path / "classifier/heads/bacl.npz") as record:
        np.testing.assert_array_equal(record["weight_norm"][0], norms)


def test_annotations_are_enough(published, tiny, tmp_path):
    """A published model is imported before any image is there."""
    config = tiny(*ONE_HEAD, f"checkpoint={published}")
    annotations = tmp_path / "train.json"
    annotations.write_bytes(Path(config.data.train.annotations).read_bytes())
    del config.data.builder
    config.data.train = {"annotations": str(annotations), "images": str(tmp_path / "absent")}
    config.data.val = {"annotations": str(tmp_path / "absent.json"), "images": "absent"}
    import_checkpoint.run(config, tmp_path)
    assert (tmp_path / "classifier/final.ckpt").is_file()
    config.data.train.annotations = str(tmp_path / "absent.json")
    with pytest.raises(MissingDataError, match=r"data\.train\.annotations: no file"):
        import_checkpoint.run(config, tmp_path / "other")


def test_an_output_that_exists_is_kept(published, finished, tiny):
    path = finished / "classifier/final.ckpt"
    before = path.stat().st_mtime_ns
    with pytest.raises(CheckpointError, match=r"final\.ckpt exists; delete it"):
        import_checkpoint.run(tiny(*ONE_HEAD, f"checkpoint={published}"), finished)
    assert path.stat().st_mtime_ns == before


def test_what_does_not_fit_leaves_no_file(published, tiny, tmp_path):
    with pytest.raises(CheckpointError, match="fits head=bacl"):
        import_checkpoint.run(
            tiny("stage=representation", f"checkpoint={published}"), tmp_path / "run"
        )
    assert not list(tmp_path.rglob("*"))


def test_what_would_mean_other_boxes_goes_neither_way(published, finished, tiny, tmp_path):
    own = "+detector.box_regression.coder.limits_shrinking=false"
    with pytest.raises(CheckpointError, match=r"limits_shrinking=false .*detector=faster_rcnn"):
        import_checkpoint.run(tiny(*ONE_HEAD, own, f"checkpoint={published}"), tmp_path)
    source = finished / "classifier/final.ckpt"
    content = load_stage(source)
    content["config"]["detector"]["box_regression"]["coder"]["limits_shrinking"] = False
    save(content, tmp_path / "other.ckpt")
    command = (*ONE_HEAD, MMDET, f"checkpoint={tmp_path / 'other.ckpt'}", "export.head=bacl")
    with pytest.raises(CheckpointError, match=r"limits_shrinking=false .*other export\.format"):
        export.run(tiny(*command, f"export.output={tmp_path / 'other.pth'}"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.ckpt"]


def test_what_is_missing_or_wrong_is_told(published, tiny, tmp_path):
    with pytest.raises(OptionError, match=r"checkpoint=FILE\.pth"):
        import_checkpoint.run(tiny(*ONE_HEAD), tmp_path)
    with pytest.raises(OptionError, match=r"heads: bacl, baseline, where one is needed"):
        import_checkpoint.run(tiny(f"checkpoint={published}"), tmp_path)
    with pytest.raises(OptionError, match=r"export\.format=pdf: unknown; formats are onnx"):
        export.run(tiny("export.format=pdf"), tmp_path)
