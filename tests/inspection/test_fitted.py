"""What is chosen by the data, by hand; and that nothing is chosen where they are not there."""

import json
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from bacl.inspection import fitted
from bacl.inspection.chosen import Chosen
from bacl.inspection.process_count import processes
from bacl.messages.errors import OptionError
from bacl.runs.validations import check_validations


def written(path, images=200, size=(160, 120), boxes=((10, 10, 40, 20),)):
    """Pictures of one size (width, height), each with these boxes [x, y, width, height]."""
    pictures = [
        {"id": n, "file_name": f"{n}.jpg", "width": size[0], "height": size[1]}
        for n in range(images)
    ]
    objects = [
        {
            "id": n * len(boxes) + k,
            "image_id": n,
            "category_id": 1,
            "bbox": list(box),
            "area": box[2] * box[3],
        }
        for n in range(images)
        for k, box in enumerate(boxes)
    ]
    content = {"images": pictures, "annotations": objects, "categories": [{"id": 1, "name": "a"}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture
def small(tmp_path):
    return written(tmp_path / "train.json")


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((160, 120), (10, 10, 40, 20), 160),  # as they are
        ((160, 120), (10, 10, 10, 6.4), 320),  # objects of 8 pixels: twice as large
        ((640, 480), (10, 10, 40, 20), 1072),  # the paper's 800 of 480: 1067, of which 16 fit 67
        ((2000, 500), (10, 10, 40, 20), 1328),  # no longer than 1333
        ((100, 40), (10, 10, 20, 20), 64),  # at most 1333 / 800 of the short side: 67
    ],
)
def test_pictures_have_their_own_size_or_the_papers(tmp_path, size, box, expected):
    found = fitted.image_size(written(tmp_path / "a.json", size=size, boxes=[box]))
    assert found.value == expected
    assert f"{size[0]} x {size[1]}" in found.reason


@pytest.mark.parametrize(
    ("images", "size", "gpu", "expected"),
    [
        (200, 320, False, 8),  # 200 / 20 = 10: eight, which a CPU takes at 240 pixels
        (200, 640, False, 4),
        (200, 640, True, 8),
        (1000, 640, True, 16),  # no more than the paper's
        (50, 640, True, 2),
    ],
)
def test_a_batch_fits_the_data_and_a_cpu(tmp_path, monkeypatch, images, size, gpu, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    file = written(tmp_path / "a.json", images=images)
    assert fitted.batch_size(file, size, "auto").value == expected
    assert fitted.batch_size(file, size, "auto", 3, 1).value % 3 == 0
    if gpu:
        assert fitted.batch_size(file, size, "cpu").value <= 8


def test_epochs_warm_up_and_drops(small):
    found = fitted.epochs(small, 8)  # 25 steps an epoch, 1,000 would be 40 epochs
    assert (found.value, "25" in found.reason) == (36, True)
    assert fitted.epochs(small, 2).value == 12
    assert fitted.classifier_epochs(small, 36).value == 18
    assert fitted.classifier_epochs(small, 5).value == 3
    assert fitted.milestones(12).value == [8, 11]
    assert fitted.milestones(2).value == [1]
    assert fitted.milestones(1).value == []
    assert fitted.warm_up(small, 8, 36).value == 90  # of 900 steps
    assert fitted.warm_up(small, 2, 36).value == 500  # of 3,600
    assert fitted.validation_every(20, 10, "last").value == 5
    assert fitted.validation_every(2, 1, "last").value == 1
    assert fitted.validation_every(13, 7, "last").value == 3
    assert fitted.validation_every(12, 6, "best").value == 3
    assert fitted.validation_every(20, 16, "best").value == 4


@pytest.mark.parametrize("epochs", range(1, 41))
def test_the_best_validation_may_be_taken_of_any_number_of_epochs(small, epochs):
    of_classifier = fitted.classifier_epochs(small, epochs).value
    stages = {"a": SimpleNamespace(epochs=epochs), "b": SimpleNamespace(epochs=of_classifier)}
    every = fitted.validation_every(epochs, of_classifier, "best").value
    wanted = {"every": every, "take": "best", "patience": 3}
    check_validations(OmegaConf.create({"validation": wanted}), stages)
    assert every <= max(1, epochs // 4)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        *((1, 1), ("1", 1), (3, 3), ("3", 3), ([0, 2], 2), ("0,1", 2), ("1,", 1)),
        *(("auto", 4), (-1, 4), ("-1", 4), ([-1], 4)),
    ],
)
def test_processes_are_those_of_lightning(monkeypatch, devices, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert processes(devices, 2, "auto") == 2 * expected
    if expected == 4:
        assert processes(devices, 1, "cpu") == 1


@pytest.mark.parametrize("devices", [0, "0", -2, "two", "", [], None])
def test_devices_that_are_none(devices):
    with pytest.raises(OptionError, match=r"^trainer\.devices="):
        processes(devices, 1, "cpu")


@pytest.mark.parametrize("none", [0, -3, "many", None])
def test_what_is_divided_by_is_refused_by_its_name(small, none):
    refused = {
        "datamodule.batch_size": [
            lambda: fitted.epochs(small, none),
            lambda: fitted.warm_up(small, none, 12),
            lambda: fitted.hallucinated_categories(small, none),
        ],
        "epochs": [
            lambda: fitted.classifier_epochs(small, none),
            lambda: fitted.validation_every(none, 1, "last"),
        ],
        "image_size": [
            lambda: fitted.batch_size(small, none, "cpu"),
            lambda: fitted.anchor_scale(small, none, [1.0], [4]),
        ],
        "stages.….schedule.epochs": [
            lambda: fitted.milestones(none),
            lambda: fitted.warm_up(small, 8, none),
            lambda: fitted.validation_every(4, none, "best"),
        ],
    }
    for option, choices in refused.items():
        for choose in choices:
            with pytest.raises(OptionError, match=f"^{option}="):
                choose()


def test_few_images_and_trained_weights_are_for_adamw(small):
    pretrained, scratch = ("weights.pth", None), (None, None)
    assert fitted.optimizer(small, *pretrained).value["_target_"] == "torch.optim.AdamW"
    assert fitted.learning_rate(small, *pretrained).value == 2e-4
    assert fitted.reference_batch(small, *pretrained).value is None
    assert fitted.classifier_learning_rate(small, *pretrained).value == 0.004
    assert fitted.optimizer(small, *scratch).value["momentum"] == 0.9
    assert fitted.learning_rate(small, *scratch).value == 0.02
    assert fitted.reference_batch(small, *scratch).value == 16
    assert fitted.gradient_clip(small).value == 35


def test_many_images_are_for_the_papers_numbers(small, monkeypatch):
    monkeypatch.setattr(fitted, "FEW", 200)
    assert fitted.optimizer(small, "weights.pth").value["_target_"] == "torch.optim.SGD"
    assert fitted.gradient_clip(small).value is None
    assert fitted.classifier_epochs(small, 12).value == 12


def test_hallucinated_rows_are_four_for_each_object(tmp_path):
    file = written(tmp_path / "a.json", boxes=[(10, 10, 40, 20)] * 3)
    assert fitted.hallucinated_categories(file, 8).value == 8  # 96 rows beside 24 objects
    assert fitted.hallucinated_categories(file, 80).value == 80  # 4 · 240 / 12
    assert fitted.hallucinated_categories(file, 80, 10).value == 8
    assert fitted.hallucinated_categories(file, 1).value == 1


def test_anchors_fit_the_objects_in_the_network(tmp_path):
    file = written(tmp_path / "a.json", boxes=[(32, 32, 16, 16)])
    anchors = ([0.5, 1.0, 2.0], [4, 8, 16, 32, 64])
    found = fitted.anchor_scale(file, 160, *anchors)
    assert found.value == 4.0  # 16 pixels at the finest level of stride 4
    assert "instead of 100.0 %" in found.reason
    assert fitted.anchor_scale(file, 320, *anchors).value == 8.0  # 32 pixels
    assert fitted.anchor_scale(file, 160, *anchors, "trained.ckpt").value == 8.0
    assert fitted.anchor_scale(file, 160, None, None).value == 8.0


def test_without_a_file_or_pictures_the_papers_numbers_stand(tmp_path):
    empty = written(tmp_path / "empty.json", images=3, size=(30, 20))  # too small to be trained on
    for file in (str(tmp_path / "no.json"), empty):
        assert fitted.image_size(file).value == 1333
        assert fitted.batch_size(file, 1333, "cpu") == Chosen(16, fitted.PAPER)
        assert fitted.epochs(file, 16).value == 12
        assert fitted.warm_up(file, 16, 12).value == 500
        assert fitted.optimizer(file, "weights.pth").value == fitted.SGD
        assert fitted.hallucinated_categories(file, 16).value == 8
        assert fitted.anchor_scale(file, 1333, [1.0], [4]).value == 8
        assert fitted.gradient_clip(file).value is None
