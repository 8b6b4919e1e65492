import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401  (a loaded program needs its operators)
from PIL import Image

from bacl.assembly.accepting import acceptance
from bacl.assembly.restored import restore_model
from bacl.data.batch import Detections
from bacl.jobs import export
from bacl.losses.class_trees import clustered, read_trees
from bacl.messages.errors import OptionError, UserError

CANVAS = (96, 128)


@pytest.fixture
def command(compose_config, finished):
    """Composes the job without an experiment, as its command does."""

    def composed(*overrides, stage="classifier"):
        checkpoint = f"checkpoint={finished / stage / 'final.ckpt'}"
        return compose_config(
            "job=export", checkpoint, f"export.image_size={[*CANVAS]}", *overrides
        )

    return composed


@pytest.fixture
def compare(command, tiny, detections_of, assert_same_detections, tmp_path):
    """Compares a file's detections on built-in pictures of two sizes with those of the stage."""

    def compared(run_file, stage_name, head, *accepted):
        restored = restore_model(command(stage=stage_name), tmp_path)
        stage, accept = restored.stage, acceptance(restored, head, *(accepted or (0, False)), "")
        pictures = sorted(Path(tiny().data.val.images).glob("*.jpg"))[:3]
        for number, path in enumerate(pictures):
            picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
            picture = picture[:, : 96 - 11 * number, : 96 - 20 * number].contiguous()
            image = torch.zeros(3, *CANVAS, dtype=torch.uint8)
            image[:, : picture.shape[1], : picture.shape[2]] = picture
            expected = accept(detections_of(stage, picture, CANVAS, head))
            boxes, scores, labels = run_file(image, torch.tensor(picture.shape[1:]))
            count = int((scores > 0).sum())
            assert count == len(expected.labels) > (0 if accepted else 5)
            assert_same_detections(
                Detections(boxes[:count], scores[:count], labels[:count]), expected
            )

    return compared


def test_an_onnx_file_gives_the_same_detections(command, compare, tmp_path, capsys):
    onnx = pytest.importorskip("onnx", reason="needs pip install 'bacl[export]'")
    runtime = pytest.importorskip("onnxruntime", reason="needs pip install 'bacl[export]'")
    pytest.importorskip("onnxscript", reason="needs pip install 'bacl[export]'")
    path = tmp_path / "new" / "model.onnx"
    taken = ["export.score_threshold=per_category", "export.one_label=true"]
    export.run(command("export.head=bacl", f"export.output={path}", *taken), tmp_path)
    assert "head bacl" in capsys.readouterr().out
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {value.name: (value.shape, value.type) for value in session.get_inputs()}
    assert shapes == {
        "image": ([3, *CANVAS], "tensor(uint8)"),
        "size": ([2], "tensor(int64)"),
    }

    def run_file(image, size):
        outputs = session.run(
            ["boxes", "scores", "labels"], {"image": image.numpy(), "size": size.numpy()}
        )
        return [torch.from_numpy(output) for output in outputs]

    compare(run_file, "classifier", "bacl", "per_category", True)
    notes = session.get_modelmeta().custom_metadata_map
    assert len(json.loads(notes["categories"])["names"]) == 12
    assert json.loads(notes["head"]) == "bacl"
    assert len(json.loads(notes["thresholds"])["per_category"]) == 12
    assert json.loads(notes["accepted"]) == {"score_threshold": "per_category", "one_label": True}
    (opset,) = [each.version for each in onnx.load(path).opset_import if each.domain == ""]
    assert opset == 18
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_a_torch_program_gives_the_same_detections(command, compare, tmp_path):
    path = tmp_path / "model.pt2"
    overrides = ["export.format=torch", f"export.output={path}", "export.one_label=true"]
    export.run(command(*overrides, stage="representation"), tmp_path)  # its only head
    notes = {"notes.json": ""}
    program = torch.export.load(path, extra_files=notes)
    compare(program.module(), "representation", "representation", 0.0, True)
    assert json.loads(notes["notes.json"])["head"] == "representation"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["export.format=caffe"], r"export\.format=caffe: unknown; formats are onnx, torch"),
        ([], r"export\.head: name one of the checkpoint's heads, .*bacl"),
        (["export.head=fcbl"], r"export\.head=fcbl: .* has no such head; it has"),
        (["export.head=bacl", "export.image_size=null"], r"export\.image_size is not set"),
        (["export.head=bacl", "export.image_size=[100,96]"], "multiples of 32"),
    ],
)
def test_wrong_options_are_told(command, tmp_path, overrides, message):
    with pytest.raises(OptionError, match=message):
        export.run(command(*overrides, f"export.output={tmp_path / 'x'}"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_told_with_its_installation(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    output = f"export.output={tmp_path / 'x.onnx'}"
    with pytest.raises(UserError, match=r"pip install 'bacl\[export\]'.*pip install onnx"):
        export.run(command("export.head=bacl", output), tmp_path)
    assert not list(tmp_path.iterdir())


def test_trees_group_the_classes_by_their_rows_of_the_classifier(command, tmp_path):
    path = tmp_path / "trees.json"
    chosen = ["export.head=baseline", "export.format=trees", "export.parents=[4,2]"]
    export.run(command(*chosen, f"export.output={path}"), tmp_path)
    trees = read_trees(path, [4, 2], 12)
    stage = restore_model(command(), tmp_path).stage
    rows = stage.heads["baseline"].classifiers[0].predictor.weight[:12].detach().numpy()
    for tree, parents in zip(trees, [4, 2], strict=True):
        assert (tree == clustered(rows.astype(np.float64), parents, seed=0)).all()
        assert len(set(tree.tolist())) == parents
