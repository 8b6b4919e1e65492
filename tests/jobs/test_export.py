import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401  (a loaded program needs its operators)
from PIL import Image

import bacl
from bacl.assembly.accepting import acceptance
from bacl.assembly.restored import restore_model
from bacl.export.runtimes import RUNTIMES
from bacl.export.trial_batch import trials
from bacl.export.trial_pictures import drawn
from bacl.export.tried import DisagreementError
from bacl.jobs import export
from bacl.losses.class_trees import clustered, read_trees
from bacl.messages.errors import OptionError, UserError

FIXED = "export.image_size=[96,96]"
LOADED_BY_OTHERS = """
import sys
class Refused:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "bacl":
            raise ImportError("not this project")
sys.meta_path.insert(0, Refused())
"""


@pytest.fixture
def command(compose_config, finished):
    """Composes the job without an experiment, as its command does."""

    def composed(*overrides, stage="classifier"):
        checkpoint = f"checkpoint={finished / stage / 'final.ckpt'}"
        return compose_config("job=export", checkpoint, "export.tried=2", *overrides)

    return composed


@pytest.fixture
def picture(tmp_path) -> Path:
    """A file of the size that the model's transform leaves as it is."""
    path = tmp_path / "picture.png"
    pixels = drawn(1)[0][:, :96, :80].permute(1, 2, 0)
    Image.fromarray(pixels.contiguous().numpy()).save(path)
    return path


def printed(capsys) -> tuple[str, str]:
    """What an export tells, and the program that it prints."""
    told, _, program = capsys.readouterr().out.partition("What runs it")
    return told, program.partition("\n\n")[2]


def lines_of(program: str, before: str = "") -> list[str]:
    """What a printed program prints itself, in a process of its own."""
    for limit in (">= ", "threshold="):
        program = program.replace(f"{limit}0.5", f"{limit}0.05")
    command = [sys.executable, "-c", before + program]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def found_by_python(checkpoint: Path, picture: Path) -> list[str]:
    found = bacl.load(checkpoint, head="bacl")(picture, threshold=0.05)
    assert len(found) > 3
    rows = zip(found.names, found.scores.tolist(), found.boxes.tolist(), strict=True)
    return [f"{s:.3f} {name} {' '.join(f'{x:.1f}' for x in box)}" for name, s, box in rows]


def assert_alike(lines: list[str], expected: list[str]) -> None:
    """Names in order, and numbers to the last digit that is printed."""
    assert [line.split()[1] for line in lines] == [line.split()[1] for line in expected]
    numbers = [[float(x) for x in (y.split()[0], *y.split()[2:])] for y in (*lines, *expected)]
    assert np.abs(np.subtract(numbers[: len(lines)], numbers[len(lines) :])).max() < 0.15


@pytest.mark.parametrize(
    "size", [FIXED, pytest.param("export.image_size=null", marks=pytest.mark.slow)]
)
def test_an_onnx_file_finds_the_same_and_its_printed_program_runs(
    command, finished, picture, tmp_path, capsys, size
):
    path = tmp_path / "new" / "model.onnx"
    named = f"export.pictures={picture}"
    export.run(command("export.head=bacl", f"export.output={path}", named, size), tmp_path)
    told, program = printed(capsys)
    assert "head bacl" in told
    assert f"tried on 1 pictures of {picture}" in told
    check = json.loads((path.parent / "model.onnx.check.json").read_text())
    assert check["expected"] == check["found"] > 20
    assert check["matched"] >= 0.99 * check["expected"]
    assert (check["box"] < 1e-3, check["score"] < 1e-5) == (True, True)
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["model.onnx", "model.onnx.check.json"]
    checkpoint = finished / "classifier" / "final.ckpt"
    assert_alike(lines_of(program, LOADED_BY_OTHERS), found_by_python(checkpoint, picture))
    session = __import__("onnxruntime").InferenceSession(path)
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    sides = [96, 96] if size == FIXED else ["height", "width"]
    assert shapes["images"] == ["batch", 3, *sides]
    assert shapes["boxes"] == ["batch", 300, 4]
    notes = session.get_modelmeta().custom_metadata_map
    assert len(json.loads(notes["categories"])["names"]) == 12
    assert len(json.loads(notes["thresholds"])["per_category"]) == 12
    assert json.loads(notes["preprocessing"])["resize"]["short_side"] == 96
    if size != FIXED:
        assert_sizes_agree(restore_model(command(), tmp_path), path)


def assert_sizes_agree(model, path):
    """Sizes, shapes and numbers of pictures that the file was not traced with."""
    program = RUNTIMES["onnx"].opened(path)
    stage = model.stage
    for sizes in ([(96, 96)], [(33, 200)], [(64, 64), (50, 130), (130, 50)], [(7, 5)]):
        pictures = [drawn(1)[0][:, :height, :width] for height, width in sizes]
        for trial in trials(pictures, None):
            expected = trial.expected(stage.detector, stage.heads["bacl"], None)
            found = trial.found(program, None)
            assert [len(x.labels) for x in found] == [len(x.labels) for x in expected]
            for mine, theirs in zip(found, expected, strict=True):
                assert torch.allclose(mine.scores, theirs.scores, atol=1e-5)


@pytest.mark.slow
def test_a_torch_program_of_one_size_with_thresholds_finds_the_same_and_runs(
    command, finished, tiny, tmp_path, capsys
):
    path, pictures = tmp_path / "model.pt2", Path(tiny().data.val.images)
    taken = ["export.score_threshold=global", "export.one_label=true", "export.head=bacl"]
    places = ["export.format=torch", f"export.output={path}", f"export.pictures={pictures}"]
    export.run(command(*places, *taken, FIXED), tmp_path)
    _, program = printed(capsys)
    extra = {"notes.json": ""}
    torch.export.load(path, extra_files=extra)
    notes = json.loads(extra["notes.json"])
    assert notes["accepted"] == {"score_threshold": "global", "one_label": True}
    assert notes["preprocessing"]["size"] == [96, 96]
    model = bacl.load(finished / "classifier" / "final.ckpt", head="bacl")
    expected = model(min(pictures.iterdir()), threshold="global", one_label=True)
    found = lines_of(program.replace(">= 0.5", ">= 1e-9"), LOADED_BY_OTHERS)
    assert len(found) == len(expected) > 0
    restored = restore_model(command(), tmp_path)
    accept = acceptance(restored, "bacl", "global", True, "")
    trial = trials([drawn(1)[0]], (96, 96))[0]  # larger than the input: made to fit
    mine = trial.found(RUNTIMES["torch"].opened(path), None)
    theirs = trial.expected(restored.stage.detector, restored.stage.heads["bacl"], accept)
    assert mine[0].labels.tolist() == theirs[0].labels.tolist()


def test_safetensors_are_a_checkpoint_like_any_other(command, finished, picture, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    chosen = ["export.head=bacl", "export.format=safetensors", f"export.output={path}"]
    export.run(command(*chosen, f"export.pictures={picture}"), tmp_path)
    told, program = printed(capsys)
    assert "boxes 0.0e+00 pixels, scores 0.0e+00" in told
    checkpoint = finished / "classifier" / "final.ckpt"
    expected = found_by_python(checkpoint, picture)
    assert lines_of(program) == expected
    model, own = bacl.load(path), bacl.load(checkpoint, head="bacl")
    assert model.heads == ["bacl"]
    assert model.thresholds == own.thresholds
    assert model.restored.categories.training is not None
    states = [each.restored.stage.heads["bacl"].state_dict() for each in (model, own)]
    for name, value in states[0].items():
        other = states[1][name]
        same = torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other
        assert same, name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="checksum of its content is another"):
        bacl.load(path)


def test_an_mmdet_file_brings_all_that_detects(command, tmp_path, capsys):
    path = tmp_path / "model.pth"
    chosen = ["export.head=bacl", "export.format=mmdet", f"export.output={path}"]
    export.run(command(*chosen), tmp_path)
    assert "boxes 0.0e+00 pixels, scores 0.0e+00" in capsys.readouterr().out


def test_what_differs_is_not_written_and_an_earlier_file_stays(command, tmp_path, monkeypatch):
    def worse(path, content, notes):
        name = "box_regression.fc.bias"
        changed = content["detector"] | {name: content["detector"][name] + 1e-2}
        write(path, content | {"detector": changed}, notes)

    write = sys.modules["bacl.export.weights_only"].write_safetensors
    monkeypatch.setattr("bacl.export.weights_only.write_safetensors", worse)
    path = tmp_path / "model.safetensors"
    path.write_text("earlier")
    chosen = ["export.head=bacl", "export.format=safetensors", f"export.output={path}"]
    limits = "export.tolerance={box:1e-3,score:1e-5,unmatched:0,mask:0}"
    with pytest.raises(DisagreementError, match=r"not written.*boxes by \d.* pixels \(tolerated"):
        export.run(command(*chosen, limits), tmp_path)
    assert path.read_text() == "earlier"
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.slow
def test_a_program_with_one_wrong_weight_is_no_matter_of_rounding(command, tmp_path, monkeypatch):
    def with_one_wrong(*given):
        program = traced(*given)
        (name,) = (x for x in program.state_dict if x.endswith("box_regression.fc.weight"))
        weight = program.state_dict[name].detach().clone()
        weight[0, weight[0].abs().argmax()] += 1.0
        program.state_dict[name] = torch.nn.Parameter(weight, requires_grad=False)
        return program

    traced = sys.modules["bacl.export.program"].traced
    monkeypatch.setattr("bacl.export.program.traced", with_one_wrong)
    path = tmp_path / "model.pt2"
    chosen = ["export.head=bacl", "export.format=torch", f"export.output={path}", FIXED]
    told = r"not written.*\(from the model in double precision differ the file by boxes"
    with pytest.raises(DisagreementError, match=told):
        export.run(command(*chosen), tmp_path)
    assert not list(tmp_path.iterdir())


def test_pictures_without_anything_are_not_enough(command, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    chosen = ["export.head=bacl", "export.format=safetensors", f"export.output={path}"]
    nothing = "detector.postprocess.score_threshold=0.9999"
    monkeypatch.setattr(export, "command_overrides", lambda: [*chosen, nothing])
    with pytest.raises(DisagreementError, match=r"nothing to compare.*export\.pictures"):
        export.run(command(*chosen, nothing), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["export.format=caffe"], r"export\.format=caffe: unknown; formats are onnx, torch"),
        ([], r"export\.head: name one of the checkpoint's heads, .*bacl"),
        (["export.head=fcbl"], r"export\.head=fcbl: .* has no such head; it has"),
        (["export.head=bacl", "export.image_size=[100,96]"], "multiples of 32"),
        (["export.head=bacl", "export.pictures=nowhere"], "nowhere"),
        (["export.head=bacl", "export.format=torch"], r"x\.onnx: .* ends in \.pt2"),
    ],
)
def test_wrong_options_are_told(command, tmp_path, overrides, message):
    with pytest.raises(OptionError, match=message):
        export.run(command(*overrides, f"export.output={tmp_path / 'x.onnx'}"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        ("onnx", "onnx", "export"),
        ("openvino", "openvino", "openvino"),
        ("tensorrt", "tensorrt", "tensorrt"),
    ],
)
def test_a_missing_package_is_told_with_its_installation(
    command, tmp_path, monkeypatch, kind, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    output = f"export.output={tmp_path / 'x'}{RUNTIMES[kind].suffix}"
    with pytest.raises(UserError, match=rf"pip install 'bacl\[{extra}\]'.*pip install {module}"):
        export.run(command("export.head=bacl", f"export.format={kind}", output), tmp_path)
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


@pytest.mark.slow
def test_openvino_files_find_the_same_and_their_printed_program_runs(
    command, finished, picture, tmp_path, capsys
):
    openvino = pytest.importorskip("openvino", reason="needs pip install 'bacl[openvino]'")
    path = tmp_path / "model.xml"
    chosen = ["export.head=bacl", "export.format=openvino", f"export.output={path}", FIXED]
    export.run(command(*chosen, f"export.pictures={picture}"), tmp_path)
    _, program = printed(capsys)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"model.xml", "model.bin", "model.xml.check.json", picture.name}
    checkpoint = finished / "classifier" / "final.ckpt"
    assert_alike(lines_of(program, LOADED_BY_OTHERS), found_by_python(checkpoint, picture))
    said = openvino.Core().read_model(path).get_rt_info(["model_info", "head"])
    assert json.loads(said.astype(str)) == "bacl"


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        *(
            (kind, option)
            for kind in ("safetensors", "mmdet", "trees")
            for option in ("score_threshold=0.5", "image_size=[96,96]", "one_label=true")
        ),
        ("mmdet", "candidates=400"),
        ("onnx", "max_batch=4"),
        ("trees", "tolerance.box=1"),
        ("torch", "parents=[4]"),
    ],
)
def test_options_that_a_format_does_not_read_are_refused(
    command, tmp_path, monkeypatch, kind, option
):
    given = ["export.head=bacl", f"export.format={kind}", f"export.{option}"]
    monkeypatch.setattr(export, "command_overrides", lambda: given)
    name = option.partition("=")[0].partition(".")[0]
    with pytest.raises(OptionError, match=rf"export\.{name}: export\.format={kind} does not read"):
        export.run(command(*given), tmp_path)


def test_options_that_a_format_reads_are_not_refused(monkeypatch):
    given = ["checkpoint=x", "export.head=bacl", "export.tolerance.box=1", "export.tried=2"]
    monkeypatch.setattr(export, "command_overrides", lambda: given)
    export._refuse_unread("safetensors", export.FORMATS["safetensors"])
    given += ["export.max_batch=2", "export.candidates=400", "export.one_label=true"]
    export._refuse_unread("tensorrt", export.FORMATS["tensorrt"])
