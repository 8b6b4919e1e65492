import pytest
import torch
from torch import nn

from bacl.assembly.build import build_stage
from bacl.data.batch import Detections
from bacl.detectors.acceptance import Acceptance
from bacl.export import ExportableDetector
from bacl.export.trial_batch import trials
from bacl.messages.errors import OptionError


def found(outputs, image=0):
    """The detections of an image among outputs of fixed size."""
    count = int((outputs[1][image] > 0).sum())
    return tuple(output[image, :count] for output in outputs)


def on_canvas(pictures, canvas):
    """Pictures in the upper left corners, noise beside them."""
    images = torch.randint(256, (len(pictures), 3, *canvas), dtype=torch.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:, : picture.shape[1], : picture.shape[2]] = picture
    return images


@pytest.mark.parametrize("canvas", [(96, 128), (90, 101)])
def test_detections_of_a_batch_are_those_of_the_stage(
    stage, detections_of, assert_same_detections, canvas
):
    """Whose canvas is made of it by padding to multiples of 32."""
    sizes = [(90, 101), (75, 101), (90, 70)]
    pictures = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in sizes]
    model = ExportableDetector(stage.detector, stage.heads["bacl"])
    outputs = model(on_canvas(pictures, canvas), torch.tensor(sizes))
    for number, (picture, size) in enumerate(zip(pictures, sizes, strict=True)):
        boxes, scores, labels = found(outputs, number)
        expected = detections_of(stage, picture, (96, 128), "bacl")
        assert len(labels) == len(expected.labels) > 10
        assert_same_detections(Detections(boxes, scores, labels), expected)
        assert boxes[:, 2].max() <= size[1]
        assert boxes[:, 3].max() <= size[0]


@pytest.mark.parametrize("chosen", ["cascade_small", "mask_small"])
def test_detections_of_other_detectors_are_those_of_the_stage(
    tiny, detections_of, assert_same_detections, chosen
):
    torch.manual_seed(0)
    config = tiny("data.num_classes=12", f"detector={chosen}", "detector.backbone.width=8")
    stage = build_stage(config, "classifier", pretrained=False).eval()
    for classifier in stage.heads["bacl"].classifiers:
        nn.init.normal_(classifier.predictor.weight, std=0.5)
    model = ExportableDetector(stage.detector, stage.heads["bacl"])
    picture = torch.randint(256, (3, 96, 128), dtype=torch.uint8)
    boxes, scores, labels, *masks = found(model(picture[None], torch.tensor([[96, 128]])))
    expected = detections_of(stage, picture, (96, 128), "bacl")
    assert_same_detections(Detections(boxes, scores, labels), expected)
    assert len(labels) > 10
    assert len(masks) == (stage.detector.mask is not None)
    if masks:
        trial = trials([picture], None)[0]
        pyramid = stage.detector.pyramid(trial.batch().images)
        own = stage.detector.mask.probabilities(pyramid, [boxes], labels)
        assert masks[0].shape == (len(labels), 28, 28)
        assert torch.allclose(masks[0], own, atol=1e-5)


def test_detections_of_a_head_that_refines_its_rois_are_those_of_the_stage(
    tiny, detections_of, assert_same_detections
):
    torch.manual_seed(0)
    stage = build_stage(tiny("data.num_classes=12", "head=pcb"), "classifier", pretrained=False)
    for parameter in stage.eval().heads["pcb"].parameters():
        nn.init.normal_(parameter, std=0.1)
    picture = torch.randint(256, (3, 96, 128), dtype=torch.uint8)
    model = ExportableDetector(stage.detector, stage.heads["pcb"])
    boxes, scores, labels = found(model(picture[None], torch.tensor([[96, 128]])))
    expected = detections_of(stage, picture, (96, 128), "pcb")
    assert_same_detections(Detections(boxes, scores, labels), expected)
    assert len(labels) > 10


def test_rows_behind_the_detections_say_that_they_are_empty(stage):
    model = ExportableDetector(stage.detector, stage.heads["bacl"])
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    boxes, scores, labels = (output[0] for output in model(black, torch.tensor([[64, 64]])))
    count = int((scores > 0).sum())
    assert boxes.shape == (300, 4)
    assert 0 < count < 300
    assert (scores[:count].diff() <= 0).all()
    assert (boxes[count:] == 0).all()
    assert (scores[count:] == 0).all()
    assert (labels[count:] == -1).all()


def test_an_image_in_which_nothing_is_found_has_empty_rows_only(stage):
    nothing = Acceptance(torch.full((12,), 2.0))
    model = ExportableDetector(stage.detector, stage.heads["bacl"], accept=nothing)
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    boxes, scores, labels = model(images, torch.tensor([[64, 64], [1, 1]]))
    assert (boxes == 0).all()
    assert (scores == 0).all()
    assert (labels == -1).all()


@pytest.mark.parametrize("one_label", [None, 0.5])
def test_thresholds_and_one_label_within_the_file_are_those_of_python(
    stage, detections_of, assert_same_detections, one_label
):
    picture = torch.randint(256, (3, 96, 128), dtype=torch.uint8)
    every = detections_of(stage, picture, (96, 128), "bacl")
    accept = Acceptance(torch.rand(12) * every.scores.median(), one_label)
    expected = accept(every)
    assert 5 < len(expected.labels) < len(every.labels) - 5
    model = ExportableDetector(stage.detector, stage.heads["bacl"], accept=accept)
    boxes, scores, labels = found(model(picture[None], torch.tensor([[96, 128]])))
    assert len(labels) == len(expected.labels)
    assert (scores.diff() <= 0).all()
    assert_same_detections(Detections(boxes, scores, labels), expected)


def test_fewer_candidates_leave_out_the_last_detections_only(stage, monkeypatch):
    monkeypatch.setattr(stage.detector.postprocess, "max_detections", 20)
    images, sizes = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 64]])
    detector, head = stage.detector, stage.heads["bacl"]
    every = found(ExportableDetector(detector, head)(images, sizes))
    few = found(ExportableDetector(detector, head, candidates=20)(images, sizes))
    assert 0 < len(few[2]) < len(every[2]) == 20
    for some, all_of_them in zip(few, every, strict=True):
        assert torch.equal(some, all_of_them[: len(some)])


def test_too_few_candidates_are_refused(stage):
    with pytest.raises(OptionError, match=r"candidates=10.*300"):
        ExportableDetector(stage.detector, stage.heads["bacl"], candidates=10)
