import pytest
import torch
from torch import nn

from bacl.assembly.build import build_stage
from bacl.data.batch import Detections
from bacl.detectors.acceptance import Acceptance
from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.export import ExportableDetector
from bacl.messages.errors import OptionError


def found(outputs):
    """The detections among outputs of fixed size."""
    count = int((outputs[1] > 0).sum())
    return tuple(output[:count] for output in outputs)


def on_canvas(picture, canvas):
    """The picture in the upper left corner, noise beside it."""
    image = torch.randint(256, (3, *canvas), dtype=torch.uint8)
    image[:, : picture.shape[1], : picture.shape[2]] = picture
    return image


@pytest.mark.parametrize("size", [(96, 128), (75, 101), (96, 70)])
def test_detections_are_those_of_the_stage(stage, detections_of, assert_same_detections, size):
    picture = torch.randint(256, (3, *size), dtype=torch.uint8)
    model = ExportableDetector(stage.detector, stage.heads["bacl"], (96, 128))
    expected = detections_of(stage, picture, (96, 128), "bacl")
    outputs = model(on_canvas(picture, (96, 128)), torch.tensor(size))
    boxes, scores, labels = found(outputs)
    assert len(labels) == len(expected.labels) > 10
    assert_same_detections(Detections(boxes, scores, labels), expected)
    assert boxes[:, 2].max() <= size[1]
    assert boxes[:, 3].max() <= size[0]


def test_detections_of_a_head_that_refines_its_rois_are_those_of_the_stage(
    tiny, detections_of, assert_same_detections
):
    torch.manual_seed(0)
    stage = build_stage(tiny("data.num_classes=12", "head=pcb"), "classifier", pretrained=False)
    for parameter in stage.eval().heads["pcb"].parameters():
        nn.init.normal_(parameter, std=0.1)
    picture = torch.randint(256, (3, 96, 128), dtype=torch.uint8)
    model = ExportableDetector(stage.detector, stage.heads["pcb"], (96, 128))
    outputs = model(picture, torch.tensor([96, 128]))
    boxes, scores, labels = found(outputs)
    expected = detections_of(stage, picture, (96, 128), "pcb")
    assert_same_detections(Detections(boxes, scores, labels), expected)
    assert len(labels) > 10


def test_rows_behind_the_detections_say_that_they_are_empty(stage):
    model = ExportableDetector(stage.detector, stage.heads["bacl"], (64, 64))
    boxes, scores, labels = model(*model.example)
    count = int((scores > 0).sum())
    assert boxes.shape == (300, 4)
    assert 0 < count < 300
    assert (scores[:count].diff() <= 0).all()
    assert (boxes[count:] == 0).all()
    assert (scores[count:] == 0).all()
    assert (labels[count:] == -1).all()


@pytest.mark.parametrize("one_label", [None, 0.5])
def test_thresholds_and_one_label_within_the_file_are_those_of_python(
    stage, detections_of, assert_same_detections, one_label
):
    picture = torch.randint(256, (3, 96, 128), dtype=torch.uint8)
    every = detections_of(stage, picture, (96, 128), "bacl")
    accept = Acceptance(torch.rand(12) * every.scores.median(), one_label)
    expected = accept(every)
    assert 5 < len(expected.labels) < len(every.labels) - 5
    model = ExportableDetector(stage.detector, stage.heads["bacl"], (96, 128), accept=accept)
    boxes, scores, labels = found(model(picture, torch.tensor([96, 128])))
    assert len(labels) == len(expected.labels)
    assert (scores.diff() <= 0).all()
    assert_same_detections(Detections(boxes, scores, labels), expected)


def test_fewer_candidates_leave_out_the_last_detections_only(stage, monkeypatch):
    monkeypatch.setattr(stage.detector.postprocess, "max_detections", 20)
    image, size = torch.randint(256, (3, 64, 64), dtype=torch.uint8), torch.tensor([64, 64])
    detector, head = stage.detector, stage.heads["bacl"]
    every = found(ExportableDetector(detector, head, (64, 64))(image, size))
    few = found(ExportableDetector(detector, head, (64, 64), candidates=20)(image, size))
    assert 0 < len(few[2]) < len(every[2]) == 20
    for some, all_of_them in zip(few, every, strict=True):
        assert torch.equal(some, all_of_them[: len(some)])


def test_what_cannot_be_exported_is_refused(stage):
    class Another(FasterRCNN):
        pass

    detector, head = stage.detector, stage.heads["bacl"]
    with pytest.raises(OptionError, match=r"image_size=\[100, 96\].*multiples of 32"):
        ExportableDetector(detector, head, [100, 96])
    with pytest.raises(OptionError, match=r"candidates=10.*300"):
        ExportableDetector(detector, head, (96, 96), candidates=10)
    another = Another.__new__(Another)
    with pytest.raises(OptionError, match="Another cannot be exported"):
        ExportableDetector(another, head, (96, 96))
