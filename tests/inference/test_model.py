import json
import shutil

import numpy as np
import pytest
import torch
import torchvision
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import bacl
from bacl.assembly.harmless import StoredConfigurationError
from bacl.checkpoints.handover import CheckpointError
from bacl.data.images.picture_file import PictureError
from bacl.jobs import predict
from bacl.messages.errors import OptionError


def same(found, expected) -> bool:
    """Equal to the bit."""
    tensors = ("boxes", "scores", "labels", "category_ids")
    equal = [torch.equal(getattr(found, name), getattr(expected, name)) for name in tensors]
    return all(equal) and found.names == expected.names and found.size == expected.size


def test_a_checkpoint_is_all_that_a_model_needs(checkpoint, tmp_path, monkeypatch):
    alone = shutil.copy(checkpoint, tmp_path / "alone.ckpt")
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    model = bacl.load("alone.ckpt")
    assert model.heads == ["bacl", "baseline"]
    assert (model.head, str(model.device)) == ("bacl", "cpu")
    assert not any(module.training for module in model.restored.stage.modules())
    assert [each.id for each in model.categories] == list(range(1, 13))
    assert "12 categories" in repr(model)
    assert bacl.load(alone, head="baseline").head == "baseline"


def test_every_form_of_a_picture_gives_the_same_detections(model, files):
    expected = model(files[0])
    assert len(expected) > 5
    with Image.open(files[0]) as picture:
        array = np.asarray(picture)
        forms = [str(files[0]), picture, array, torch.from_numpy(array.copy()).permute(2, 0, 1)]
        assert all(same(model(form), expected) for form in forms)
        assert same(model(forms[3].contiguous()), expected)


def test_chosen_thresholds_and_one_label_leave_some_of_the_detections(model, files):
    every = model(files[0])
    assert model.thresholds is not None
    limits = torch.tensor(model.thresholds.of("per_category"))
    some = model(files[0], threshold="per_category")
    kept = every.scores >= limits[every.labels]
    assert torch.equal(some.scores, every.scores[kept])
    assert len(model(files[0], threshold="global")) == int(
        (every.scores >= model.thresholds.of_all).sum()
    )
    one = model(files[:2], one_label=True)[0]
    overlap = torchvision.ops.box_iou(one.boxes, one.boxes).fill_diagonal_(0)
    assert 0 < len(one) < len(every)
    assert overlap.max() <= 0.5 + 1e-5
    assert float(one.scores[0]) == pytest.approx(float(every.scores[0]), abs=1e-5)


def test_thresholds_that_are_not_there_are_refused(model, files, changed):
    with pytest.raises(
        OptionError, match=r"threshold=best: expected a score from 0 to 1 or global"
    ):
        model(files[0], threshold="best")
    older = bacl.load(changed(lambda content: content.pop("thresholds")))
    assert older.thresholds is None
    with pytest.raises(
        OptionError, match=r"threshold=global: .*changed\.ckpt has no thresholds of"
    ):
        older(files[0], threshold="global")


def test_detections_name_their_categories_in_pixels_of_the_picture(model, tmp_path):
    Image.new("RGB", (300, 120), "gray").save(tmp_path / "wide.png")
    found = model(tmp_path / "wide.png")
    assert found.size == (120, 300)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert found.boxes.shape == (len(found), 4)
    assert (found.boxes <= torch.tensor([300.0, 120, 300, 120]) + 1e-3).all()
    assert (found.boxes[:, 2].max() > 120) or not len(found)
    own = [model.categories[label] for label in found.labels]
    assert [each.id for each in own] == found.category_ids.tolist()
    assert [each.name for each in own] == found.names
    assert found.masks is None


def test_pictures_are_turned_upright(model, files, tmp_path):
    with Image.open(files[0]) as picture:
        stored = picture.crop((0, 0, 96, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "turned.png", exif=exif)
    expected = model(stored.transpose(Image.Transpose.ROTATE_270))
    assert expected.size == (96, 60)
    assert same(model(tmp_path / "turned.png"), expected)
    with Image.open(tmp_path / "turned.png") as opened:
        assert same(model(opened), expected)


def test_several_pictures_give_a_list_in_their_order(model, files):
    alone = [model(file, batch_size=1) for file in files]
    listed = model(files, batch_size=1)
    assert isinstance(listed, list)
    assert all(map(same, listed, alone))
    batched = model(tuple(files[:5]), batch_size=4)
    for found, expected in zip(batched, alone, strict=False):
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    assert model([]) == []


def test_thresholds_and_heads(model, files):
    everything = model(files[0])
    half = float(everything.scores[len(everything) // 2])
    above = model(files[0], threshold=half)
    assert len(above) == int((everything.scores >= half).sum()) < len(everything)
    assert same(above, everything.above(half))
    assert len(model(files[0], threshold=1)) == 0
    model.head = "baseline"
    assert not same(model(files[0]), everything)
    with pytest.raises(OptionError, match=r"head=fcbl: .* no such head; it has bacl, baseline"):
        model.head = "fcbl"


def test_detections_are_those_of_the_job(model, checkpoint, compose_config, files, tmp_path):
    options = [
        "job=predict", f"checkpoint={checkpoint}", f"predict.images={files[0].parent}",
        "trainer=cpu", f"predict.output={tmp_path / 'out'}", "predict.pictures=0",
        "datamodule.num_workers=0",
        "datamodule.val_batch_size=1", "trainer.enable_progress_bar=false",
    ]  # fmt: skip
    predict.run(compose_config(*options), tmp_path)
    for head in model.heads:
        model.head = head
        written = json.loads((tmp_path / f"out/detections_{head}.json").read_text())
        for number, found in enumerate(model(files, batch_size=1), 1):
            rows = [each for each in written if each["image_id"] == number]
            assert [each["category_id"] for each in rows] == found.category_ids.tolist()
            scores = [each["score"] for each in rows]
            np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-6)
            boxes = np.array([each["bbox"] for each in rows])
            boxes[:, 2:] += boxes[:, :2]
            np.testing.assert_allclose(found.boxes, boxes, rtol=0, atol=1e-2)


def test_a_program_keeps_its_generators_and_its_small_numbers(checkpoint, files):
    before = torch.get_rng_state()
    for flushed in (True, False):
        torch.set_flush_denormal(flushed)
        bacl.load(checkpoint)(files[0])
        assert bool(torch.full((1,), 1e-38) / 10 == 0) is flushed
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\) .*expected \(H, W, 3\) uint8"),
        (np.zeros((8, 8, 3)), "type float64: expected"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"expected \(3, H, W\) uint8"),
        (torch.zeros(3, 8, 8), "type float32"),
        (7, "not a int"),
    ],
)
def test_what_is_no_picture_is_told(model, picture, message):
    with pytest.raises(OptionError, match=message):
        model(picture)


def test_files_are_told_by_their_names(model, files, tmp_path):
    with pytest.raises(PictureError, match=r"none\.jpg: there is no such file"):
        model([files[0], tmp_path / "none.jpg"])
    whole = files[0].read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "cut.jpg") as picture:
        for form in (picture, tmp_path / "cut.jpg"):
            with pytest.raises(PictureError, match=r"cut\.jpg: cannot be read \(.*truncated"):
                model(form)


def test_options_that_make_no_sense_are_told(model, files):
    with pytest.raises(OptionError, match="threshold=2: expected a number of at least 0"):
        model(files[0], threshold=2)
    with pytest.raises(OptionError, match="batch_size=0"):
        model(files, batch_size=0)
    with pytest.raises(OptionError, match=r"device=gpu: .*device"):
        model.to("gpu")
    assert model.to("cpu") is model


def test_a_file_chooses_no_code(changed):
    def hostile(content):
        content["config"]["stages"]["classifier"]["augment"]["test"] = {"_target_": "os.system"}

    with pytest.raises(StoredConfigurationError, match=r"augment\.test\._target_: a file may not"):
        bacl.load(changed(hostile))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["config"].pop("seed"), "seed: is missing"),
        (lambda content: content["config"].update(seed=-1), "seed=-1"),
        (lambda content: content["config"]["detector"].update(typo=1), "detector.typo: no such"),
        (lambda content: content["detector"].popitem(), "does not fit this model"),
        (lambda content: content["training"].update(num_images=-1), "training.num_images is -1"),
        (lambda content: content["training"]["frequency"].pop(), "expected a list of 12"),
        (lambda content: content["training"]["image_counts"].__setitem__(2, "3"), "expected a co"),
        (lambda content: content.update(training=[]), r"training is \[\], expected a dictionary"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(changed, change, message):
    with pytest.raises(CheckpointError, match=message) as told:
        bacl.load(changed(change))
    assert "changed.ckpt" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(bacl.UserError, match=r"none\.ckpt: no such checkpoint"):
        bacl.load(tmp_path / "none.ckpt")
