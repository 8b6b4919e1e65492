import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bacl.assembly.restored import restore_model
from bacl.checkpoints.handover import CheckpointError, load_stage
from bacl.jobs import predict
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError
from bacl.prediction.account import UnreadableError
from bacl.prediction.batch_detector import BatchDetector
from bacl.prediction.drawn_pictures import drawn_name
from bacl.prediction.outputs import Outputs
from bacl.prediction.result_files import ResultFiles
from bacl.reporting import figures

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkpoint(finished, tmp_path_factory) -> Path:
    """A final.ckpt whose training data are nowhere, with an indicator that counts them."""
    content = load_stage(finished / "classifier/final.ckpt")
    text = json.dumps(content["config"]).replace(content["config"]["data"]["root"], "/nowhere")
    content["config"] = json.loads(text)
    path = tmp_path_factory.mktemp("alone") / "final.ckpt"
    torch.save(content, path)
    return path


@pytest.fixture
def command(compose_config, checkpoint, tmp_path):
    """Composes the job as its command without an experiment does."""

    def composed(images, *overrides, path=checkpoint):
        job = ["job=predict", f"checkpoint={path}", "trainer.enable_progress_bar=false"]
        output = f"predict.output={tmp_path / 'out'}"
        chosen = [] if images is None else [f"predict.images={images}"]
        return compose_config(*job, "trainer=cpu", output, *chosen, *overrides)

    return composed


@pytest.fixture
def pictures(tiny, finished, tmp_path) -> Path:
    """A folder with the six validation pictures."""
    folder = tmp_path / "pictures"
    shutil.copytree(tiny().data.val.images, folder)
    return folder


def written(tmp_path, head="bacl"):
    out = tmp_path / "out"
    records = json.loads((out / f"detections_{head}.json").read_text())
    return records, json.loads((out / "images.json").read_text())


def by_file(records, images):
    """Category, box and score of every detection, by name of the file."""
    names = {image["id"]: Path(image["file_name"]).name for image in images}
    rows: dict[str, list] = {name: [] for name in names.values()}
    for each in records:
        row = [each["category_id"], *each["bbox"], each["score"]]
        rows[names[each["image_id"]]].append(row)
    return rows


def test_detections_are_those_of_the_evaluation(
    command, pictures, finished, tiny, tmp_path, monkeypatch
):
    predict.run(command(pictures, "datamodule.num_workers=0", "predict.pictures=0"), tmp_path)
    saved = "report.save_detections=true"
    monkeypatch.setattr(test_job, "command_overrides", lambda: [saved])
    test_job.run(tiny("job=test", saved), finished)
    (evaluated,) = (finished / "classifier").glob("test_*/detections_bacl.json.gz")
    annotations = json.loads(Path(tiny().data.val.annotations).read_text(encoding="utf-8"))
    for head in ("bacl", "baseline"):
        records, listed = written(tmp_path, head)
        with gzip.open(evaluated.with_name(f"detections_{head}.json.gz")) as file:
            expected = by_file(json.load(file), annotations["images"])
        found = by_file(records, listed["images"])
        assert found.keys() == expected.keys()
        for name, rows in found.items():
            assert len(rows) > 5
            np.testing.assert_allclose(sorted(rows), sorted(expected[name]), rtol=0, atol=1e-3)
    ids = {each["id"] for each in annotations["categories"]}
    assert {each["id"] for each in listed["categories"]} == ids
    assert [(each["width"], each["height"]) for each in listed["images"]] == [(96, 96)] * 6
    assert listed["heads"] == ["bacl", "baseline"]
    assert not (tmp_path / "out/pictures").exists()


def test_accepted_detections_are_those_from_the_chosen_thresholds_on(
    command, pictures, checkpoint, tmp_path
):
    limits = load_stage(checkpoint)["thresholds"]["bacl"]["per_category"]
    quick = ["datamodule.num_workers=0", "predict.pictures=1", "predict.head=bacl"]
    predict.run(command(pictures, *quick, "predict.score_threshold=per_category"), tmp_path)
    records, listed = written(tmp_path)
    accepted = json.loads((tmp_path / "out/accepted_bacl.json").read_text())
    assert accepted == [
        each for each in records if each["score"] >= limits[each["category_id"] - 1]
    ]
    assert 0 < len(accepted) < len(records)
    assert listed["accepted"] == {"score_threshold": "per_category", "one_label": False}


def test_thresholds_of_other_scores_are_refused(command, pictures, tmp_path):
    asked = ["predict.score_threshold=global", "calibration=tau_norm"]
    overrides = [*asked, "predict.head=bacl"]
    with pytest.raises(OptionError, match=r"score_threshold=global: .* has no thresholds of bacl"):
        with_overrides(predict.run, overrides, command(pictures, *overrides), tmp_path)
    assert not (tmp_path / "out").exists()


def with_overrides(run, overrides, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "command_overrides", lambda: overrides)
        run(*arguments)


def test_batches_and_workers_change_nothing(command, pictures, tmp_path):
    results = []
    for options in (["val_batch_size=1", "num_workers=0"], ["val_batch_size=4", "num_workers=2"]):
        overrides = [f"datamodule.{option}" for option in options]
        predict.run(command(pictures, *overrides, "predict.pictures=0"), tmp_path)
        results.append(by_file(written(tmp_path)[0], written(tmp_path)[1]["images"]))
        shutil.rmtree(tmp_path / "out")
    assert results[0].keys() == results[1].keys()
    for name in results[0]:
        pair = [sorted(result[name]) for result in results]
        np.testing.assert_allclose(*pair, rtol=0, atol=1e-3)


def cut_off_at_third(monkeypatch):
    """The third batch that is detected ends the command; how many pictures each has, so far."""
    detect, seen = BatchDetector.detect, []

    def counted(detector, batch):
        seen.append(len(batch.targets))
        if len(seen) == 3:
            raise KeyError("the power is out")
        return detect(detector, batch)

    monkeypatch.setattr(BatchDetector, "detect", counted)
    return seen


def test_an_interrupted_prediction_goes_on_and_ends_the_same(
    command, pictures, tmp_path, monkeypatch, capsys
):
    (pictures / "broken.jpg").write_bytes(b"no picture")
    options = ["datamodule.val_batch_size=2", "datamodule.num_workers=0"]
    predict.run(command(pictures, *options), tmp_path)
    (tmp_path / "out").rename(tmp_path / "straight")
    seen = cut_off_at_third(monkeypatch)
    with pytest.raises(KeyError, match="power"):
        predict.run(command(pictures, *options), tmp_path)
    assert not (tmp_path / "out/images.json").exists()
    predict.run(command(pictures, *options, "predict.score_threshold=0.4"), tmp_path)
    assert "2 of its batches, found by an interrupted command" in capsys.readouterr().out
    assert sum(seen[3:]) == 6 - sum(seen[:2])
    assert not (tmp_path / "out/.kept").exists()
    for name in ("detections_bacl.json", "detections_baseline.json"):
        straight, cut = ((tmp_path / run / name).read_bytes() for run in ("straight", "out"))
        assert straight == cut
    drawn = [sorted(x.name for x in (tmp_path / run).rglob("*.jpg")) for run in ("straight", "out")]
    assert drawn[0] == drawn[1]


def test_another_prediction_begins_anew_and_a_damaged_batch_is_detected_again(
    command, pictures, tmp_path, monkeypatch, capsys
):
    def cut(outputs):
        raise KeyError("the power is out")

    options = ["datamodule.val_batch_size=2", "datamodule.num_workers=0", "predict.pictures=0"]
    kept = tmp_path / "out/.kept"
    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "finish", cut)
        for place in (tmp_path, tmp_path):  # the second one goes on, and is cut again
            with pytest.raises(KeyError):
                predict.run(command(pictures, *options), place)
            assert len(list(kept.glob("*.npz"))) == 3
            (kept / "00000001.npz").write_bytes(b"cut off")
    assert capsys.readouterr().out.count("1 of its batches, found by an interrupted command") == 1
    other = "detector.postprocess.max_detections=5"
    predict.run(command(pictures, *options, other), tmp_path)
    assert "interrupted command" not in capsys.readouterr().out
    assert len(written(tmp_path)[1]["images"]) == 6


def test_tiles_find_in_a_mosaic_what_pictures_have_and_change_no_smaller_one(
    command, pictures, tmp_path
):
    first, second = (np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())[:2])
    Image.fromarray(np.concatenate([first, second], axis=1)).save(pictures / "wide.png")
    results = []
    for options in ([], ["predict.tile=96", "predict.overlap=0"]):
        predict.run(command(pictures, *options, "predict.pictures=0"), tmp_path)
        records, listed = written(tmp_path)
        results.append(by_file(records, listed["images"]))
        shutil.rmtree(tmp_path / "out")
    as_wholes, tiled = results
    wide, other = tiled.pop("wide.png"), as_wholes.pop("wide.png")
    assert tiled == as_wholes
    assert wide != other
    names = sorted(path.name for path in pictures.iterdir())[:2]
    complete = [row for row in tiled[names[0]] if row[1] + row[3] < 93]  # not cut by the seam
    best = max(complete, key=lambda row: row[5])
    assert best in wide


def test_nothing_of_an_interrupted_prediction_stays_among_another_ones_files(
    command, pictures, tmp_path, monkeypatch
):
    quick = ["datamodule.num_workers=0", "datamodule.val_batch_size=2", "predict.head=bacl"]
    own = [tmp_path / "out" / name for name in ("pictures/of_the_user.jpg", "detections_bacl.json")]
    own[0].parent.mkdir(parents=True)
    for path in own:
        path.write_bytes(b"own")
    with monkeypatch.context() as patch:
        patch.setattr(ResultFiles, "__exit__", lambda self, *rest: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predict.run(command(pictures, *quick, "predict.outputs=[coco,yolo]"), tmp_path)
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"coco_bacl.json", "data.yaml", "00000001.txt", "00000001.jpg"} <= left
    (pictures / "00000001.jpg").unlink()
    predict.run(command(pictures, *quick, "predict.pictures=1"), tmp_path)
    found = {str(x.relative_to(tmp_path / "out")) for x in (tmp_path / "out").rglob("*")}
    results = {"images.json", "detections_bacl.json", "accepted_bacl.json", "pictures"}
    assert found == results | {"pictures/00000002.jpg", "pictures/of_the_user.jpg"}
    assert own[0].read_bytes() == b"own"


def test_a_picture_is_not_replaced_by_its_drawing(command, pictures, tmp_path):
    (tmp_path / "out").mkdir()
    own = pictures.rename(tmp_path / "out/pictures") / "00000001.jpg"
    content = own.read_bytes()
    with pytest.raises(OptionError, match=r"would take the place of .*; name another folder"):
        predict.run(command(own, "datamodule.num_workers=0", "predict.head=bacl"), tmp_path)
    assert own.read_bytes() == content
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pictures"]


@pytest.mark.usefixtures("rendered")
def test_broken_files_are_named_and_every_other_picture_is_drawn(
    command, pictures, tmp_path, capsys
):
    whole = next(pictures.glob("*.jpg")).read_bytes()
    (pictures / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (pictures / "notes.txt").touch()
    (pictures / "deeper").mkdir()
    Image.new("L", (7, 300)).save(pictures / "deeper/grey.png")
    options = ["predict.head=baseline", "datamodule.num_workers=0", "predict.score_threshold=0"]
    predict.run(command(pictures, *options), tmp_path)
    told = capsys.readouterr().out
    assert "8 pictures; skipped: 1 other files" in told
    assert "1 of 8 files could not be read" in told
    assert "cut.jpg: cannot be read (image file is truncated" in told
    assert "7 pictures in" in told
    records, listed = written(tmp_path, "baseline")
    assert not (tmp_path / "out/detections_bacl.json").exists()
    assert [each["name"] for each in listed["unreadable"]] == ["cut.jpg"]
    assert listed["images"][-1] == {
        "id": 8, "file_name": "deeper/grey.png", "width": 7, "height": 300,
    }  # fmt: skip
    grey = [each["bbox"] for each in records if each["image_id"] == 8]
    assert max(x + width for x, _, width, _ in grey) <= 7 + 1e-4
    drawn = sorted((tmp_path / "out/pictures").rglob("*.jpg"))
    assert len(drawn) == 7
    with Image.open(tmp_path / "out/pictures/deeper/grey.png.jpg") as picture:
        assert len(np.unique(np.asarray(picture))) > 10


def test_no_more_pictures_are_drawn_than_asked_for(command, pictures, tmp_path, capsys):
    options = ["datamodule.val_batch_size=2", "datamodule.num_workers=0", "predict.pictures=3"]
    predict.run(command(f"{pictures}/*.jpg", *options), tmp_path)
    assert len(list((tmp_path / "out/pictures").iterdir())) == 3
    assert "and 3 drawn pictures" in capsys.readouterr().out
    assert len(written(tmp_path)[1]["images"]) == 6


def test_a_failure_leaves_no_results(command, pictures, tmp_path, monkeypatch):
    calls = []

    def write(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("disk full")

    monkeypatch.setattr(ResultFiles, "write", write)
    options = ["datamodule.num_workers=0", "datamodule.val_batch_size=2", "predict.pictures=0"]
    with pytest.raises(OSError, match="disk full"):
        predict.run(command(pictures, *options), tmp_path)
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in left if ".kept" not in path.parts]  # what is gone on from


def test_a_picture_that_cannot_be_drawn_is_told_and_the_results_are_there(
    command, pictures, tmp_path, monkeypatch, caplog, capsys
):
    draw, calls = figures.draw_predictions, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) in (2, 3):
            raise OSError("disk full")
        return draw(*arguments)

    monkeypatch.setattr(figures, "draw_predictions", full)
    options = ["datamodule.num_workers=0", "predict.pictures=4"]
    predict.run(command(pictures, *options), tmp_path)
    assert len(written(tmp_path)[1]["images"]) == 6
    assert len(calls) == 4
    assert len(list((tmp_path / "out/pictures").iterdir())) == 2
    assert "and 2 drawn pictures" in capsys.readouterr().out
    [warning] = [each.getMessage() for each in caplog.records if "not drawn" in each.getMessage()]
    assert warning.endswith(".jpg (OSError: disk full)")


def test_names_in_any_bytes_are_written_and_told(command, pictures, tmp_path, capfd):
    first = next(pictures.glob("*.jpg"))
    for name in (b"caf\xe9.jpg", "猫.jpg".encode(), b"red\x1b[31m.jpg", b"$x_1$ =1.jpg"):
        shutil.copy(first, os.fsencode(tmp_path) + b"/pictures/" + name)
    (tmp_path / "pictures/bad\x1b[31m.jpg").write_bytes(b"no picture")
    predict.run(command(pictures, "datamodule.num_workers=0"), tmp_path)
    listed = written(tmp_path)[1]
    names = {os.fsencode(each["file_name"]) for each in listed["images"]}
    assert {b"caf\xe9.jpg", "猫.jpg".encode(), b"red\x1b[31m.jpg"} <= names
    assert [each["name"] for each in listed["unreadable"]] == ["bad\x1b[31m.jpg"]
    drawn = {path.name for path in (tmp_path / "out/pictures").iterdir()}
    assert {"caf\udce9.jpg", "猫.jpg", "$x_1$ =1.jpg"} <= drawn
    assert r"bad\x1b[31m.jpg: " in capfd.readouterr().out


def test_results_come_batch_by_batch(command, pictures, tmp_path, monkeypatch):
    """What is in memory at once: one batch, whatever the number of pictures."""
    sizes = []
    write = ResultFiles.write

    def watched(files, batch):
        of_heads = (*batch.detections.values(), *batch.accepted.values())
        sizes.append((len(batch.targets), {len(found) for found in of_heads}))
        write(files, batch)

    monkeypatch.setattr(ResultFiles, "write", watched)
    options = ["datamodule.val_batch_size=4", "datamodule.num_workers=0", "predict.pictures=0"]
    predict.run(command(pictures, *options), tmp_path)
    assert sizes == [(4, {4}), (2, {2})]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["predict.images=null"], r"predict\.images is not set"),
        (["predict.images=/nowhere/at/all"], "no such file or folder"),
        (["predict.head=fcbl"], r"predict\.head=fcbl: .* it has bacl, baseline"),
        (["trainer=ddp"], r"trainer\.devices=8: job=predict uses one device"),
        (["data.num_classes=80"], r"data\.num_classes=80.* trained on 12 categories"),
    ],
)
def test_wrong_options_are_told_before_any_work(command, pictures, tmp_path, overrides, message):
    with pytest.raises(OptionError, match=message):
        predict.run(command(pictures, *overrides), tmp_path)
    assert not (tmp_path / "out").exists()


def test_processes_of_torchrun_would_write_the_same_files(command, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="job=predict works in one process, and torchrun"):
        predict.run(command(pictures), tmp_path)
    assert not (tmp_path / "out").exists()


def test_earlier_results_are_not_mixed_with_new_ones(command, pictures, tmp_path):
    options = ["datamodule.num_workers=0", "predict.pictures=0"]
    predict.run(command(pictures, *options), tmp_path)
    before = (tmp_path / "out/images.json").stat().st_mtime_ns
    with pytest.raises(OptionError, match="earlier prediction"):
        predict.run(command(pictures, *options), tmp_path)
    assert (tmp_path / "out/images.json").stat().st_mtime_ns == before


def test_without_a_readable_picture_there_is_an_error_and_no_result(command, tmp_path):
    (tmp_path / "one.jpg").write_text("no picture")
    with pytest.raises(UnreadableError, match=r"one\.jpg: is a text file"):
        predict.run(command(tmp_path / "one.jpg", "datamodule.num_workers=0"), tmp_path)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_checkpoint_that_is_not_there_is_told(command, pictures, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.ckpt: no such checkpoint"):
        predict.run(command(pictures, path=tmp_path / "none.ckpt"), tmp_path)


def test_the_checkpoint_describes_the_model_and_the_command_changes_it(command, tmp_path):
    alone = restore_model(command(None), tmp_path)
    assert (alone.name, list(alone.stage.heads)) == ("classifier", ["bacl", "baseline"])
    assert alone.stage.detector.feature_dim == 32  # not that of the default detector
    assert alone.stage.detector.postprocess.score_threshold == 1e-4
    assert not alone.stage.training
    option = "detector.postprocess.score_threshold=0.3"
    changed = restore_model(command(None, option), tmp_path, [option])
    assert changed.stage.detector.postprocess.score_threshold == 0.3
    assert changed.stage.detector.feature_dim == 32
    choice = "augment@stages.classifier.augment=own_size"
    resized = restore_model(command(None, choice), tmp_path, [choice])
    assert resized.config.stages.classifier.augment.test.short_sides == [256]
    assert alone.config.stages.classifier.augment.test.short_sides == [96]


def test_a_command_with_an_experiment_describes_the_model(command, tiny, checkpoint, tmp_path):
    overrides = ["+experiment=bacl_demo"]
    with pytest.raises(CheckpointError, match=r"does not fit this model \(.*expected"):
        restore_model(command(None, *overrides), tmp_path, overrides)
    fitting = restore_model(tiny(f"checkpoint={checkpoint}"), tmp_path, overrides)
    assert set(fitting.stage.heads) == {"baseline", "bacl"}
    other = ["+experiment=bacl_demo_end_to_end", "head=bce"]
    with pytest.raises(CheckpointError, match=r"its heads are .*end_to_end: bce"):
        restore_model(command(None, *other), tmp_path, other)


def test_a_head_can_be_left_out(command, tmp_path):
    override = "~stages.classifier.heads.bacl"
    left = restore_model(command(None, override), tmp_path, [override])
    assert list(left.stage.heads) == ["baseline"]


def test_counts_of_the_training_file_come_from_the_checkpoint(command, checkpoint, tmp_path):
    """An indicator of class frequencies reads the training file when it is built anew."""
    content = load_stage(checkpoint)
    loss = content["config"]["stages"]["classifier"]["heads"]["bacl"]["loss"]
    load = "bacl.data.statistics.CategoryStatistics.load"
    loss["indicator"] = {
        "_target_": "bacl.indicators.ImageFrequency",
        "num_classes": 12,
        "statistics": {"_target_": load, "annotations": "/nowhere/train.json"},
    }
    head = content["heads"]["bacl"]
    for name in [name for name in head if name.startswith("first.criterion.indicator.")]:
        del head[name]
    head["first.criterion.indicator.counts"] = torch.arange(12)
    torch.save(content, tmp_path / "counted.ckpt")
    model = restore_model(command(None, path=tmp_path / "counted.ckpt"), tmp_path)
    assert model.stage.heads["bacl"].classifiers[0].criterion.indicator.counts.tolist() == list(
        range(12)
    )


def test_a_checkpoint_without_a_configuration_is_refused(checkpoint, command, tmp_path):
    content = load_stage(checkpoint)
    path = tmp_path / "old.ckpt"
    for config in ({}, None):
        torch.save(content | {"config": config}, path)
        with pytest.raises(CheckpointError, match="holds no configuration of its model"):
            restore_model(command(None, path=path), tmp_path)


@pytest.mark.slow
def test_the_command_of_the_documentation(checkpoint, pictures, tmp_path):
    command = [
        sys.executable, "run.py", "job=predict", f"checkpoint={checkpoint}",
        f"predict.images={pictures}", f"predict.output={tmp_path / 'out'}", "trainer=cpu",
        f"hydra.run.dir={tmp_path / 'run'}", "detector.postprocess.max_detections=7",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert "6 pictures in" in done.stdout
    records, listed = written(tmp_path)
    assert len(listed["images"]) == 6
    assert len(records) == 6 * 7
    assert "Warning" not in done.stderr


def test_no_two_pictures_are_drawn_to_one_file():
    names = {"x.png", "x.png.jpg", "x.png.jpg.jpg", "x.PNG", "x.jpg", "y.tif"}
    drawn = {name: drawn_name(name, names) for name in names}
    assert len(set(drawn.values())) == len(names)
    assert drawn["x.png"] == "x.png.jpg.jpg.jpg"
    assert (drawn["x.jpg"], drawn["y.tif"]) == ("x.jpg", "y.tif.jpg")


def test_an_overlap_of_no_tiles_is_refused(command, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "command_overrides", lambda: ["predict.overlap=0.5"])
    with pytest.raises(OptionError, match=r"predict\.overlap=0\.5: of tiles; set their side too"):
        predict.run(command(pictures, "predict.overlap=0.5"), tmp_path)


def test_what_could_not_be_read_is_looked_at_again(command, pictures, tmp_path):
    for path in pictures.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UnreadableError):
        predict.run(command(pictures), tmp_path)
    assert not (tmp_path / "out/.kept").exists()


@pytest.mark.slow
def test_a_program_of_weights_that_have_learned_is_of_a_copy(
    command, pictures, finished, tmp_path, monkeypatch, caplog
):
    """Of a stage that trained its backbone, too: so canvases are taken, and nothing is told."""
    path, models = finished / "representation/final.ckpt", []
    words = ["datamodule.num_workers=0", "predict.pictures=0"]
    compiled = ["compile=inductor", "compile.backend=eager", "compile.canvases=[[256,256]]"]

    def restored(*given):
        models.append(restore_model(*given))
        return models[-1]

    monkeypatch.setattr(predict, "restore_model", restored)
    found = []
    for more in ([], compiled):
        monkeypatch.setattr(predict, "command_overrides", lambda more=more: words + more)
        predict.run(command(pictures, *words, *more, path=path), tmp_path)
        records = json.loads((tmp_path / "out/detections_representation.json").read_text())
        found.append(np.array([each["score"] for each in records]))
        shutil.rmtree(tmp_path / "out")
    assert np.abs(found[0] - found[1]).max() < 1e-5
    ((shape, *_),) = models[1].stage.detector.extract._kept._made
    assert shape[2:] == (256, 256)
    assert "compile" not in caplog.text
