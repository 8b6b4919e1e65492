"""Published files are read without executing anything, and what does not fit is listed by name."""

import json
import os
import re
import sys
import zipfile
from collections import OrderedDict, defaultdict
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from bacl.assembly.build import build_stage, only_head
from bacl.checkpoints.handover import Categories, CheckpointError
from bacl.checkpoints.mmdet import load_published, named_state, published_state
from bacl.checkpoints.mmdet_file import PublishedFile, read_published, write_published
from bacl.checkpoints.mmdet_names import our_name, published_name

REPOSITORY = Path(__file__).parents[2]
KEYS = json.loads((REPOSITORY / "tests/data/published/a_state_dict_keys_r50.json").read_text())
FIVE = Categories([1, 2, 3, 5, 8], ["ant", "bee", "cat", "dog", "emu"])
SMALL = ("detector.backbone.width=8", "detector.fpn.channels=8", "detector.rpn.channels=8")


def build(*overrides: str, stage: str = "classifier") -> tuple[nn.Module, nn.Module]:
    """Detector and head of a stage."""
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        config = compose(overrides=list(overrides), config_name="config")
    built = build_stage(config, stage, pretrained=False)
    return built.detector, built.heads[only_head(built, stage)]


def small(*overrides: str, classes: int = 5, stage: str = "classifier"):
    options = ("detector.feature_dim=16", f"data.num_classes={classes}", *SMALL, *overrides)
    return build(*options, stage=stage)


def scrambled(*modules: nn.Module) -> None:
    """Other values in every tensor, of kinds that published files hold."""
    for number, value in enumerate(v for m in modules for v in m.state_dict().values()):
        if isinstance(value, torch.Tensor):
            generator = torch.Generator().manual_seed(number)
            value.copy_(torch.randint(0, 99, value.shape, generator=generator) % (7 + number % 3))


@pytest.fixture
def model() -> tuple[nn.Module, nn.Module]:
    detector, head = small()
    scrambled(detector, head)
    return detector, head


@pytest.fixture
def file(model) -> PublishedFile:
    """As published: statistics in float32."""
    state = {
        key: value.float() if "loss_cls" in key or "feature_" in key else value.clone()
        for key, value in published_state(*model).items()
    }
    return PublishedFile(Path("published.pth"), state, None)


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) and value.dtype == second[key].dtype
        for key, value in first.items()
        if isinstance(value, torch.Tensor)
    )


def test_weights_and_statistics_arrive(model, file):
    new = small()
    assert not equal(named_state(*model), named_state(*new))
    load_published(file, *new, FIVE)
    assert equal(named_state(*model), named_state(*new))
    confusion, counts = (
        file.state[f"roi_head.bbox_head.loss_cls.{key}"] for key in ("cm_numerator", "num_gt")
    )
    indicator = new[1].classifiers[0].criterion.indicator
    assert torch.equal(indicator.matrix(), (confusion / counts.clamp(min=1).unsqueeze(1)))
    prototypes = file.state["roi_head.bbox_head.feature_prototype"]
    assert torch.equal(new[1].classifiers[0].hallucination.prototypes, prototypes)


def test_there_and_back_is_the_same_to_the_bit(model, file, tmp_path):
    first, second = small(), small()
    load_published(file, *first, FIVE)
    write_published(tmp_path / "back.pth", published_state(*first), tuple(FIVE.names))
    back = read_published(tmp_path / "back.pth")
    assert back.category_names == tuple(FIVE.names)
    assert all(torch.equal(back.state[key].float(), file.state[key].float()) for key in file.state)
    load_published(back, *second, FIVE)
    assert equal(named_state(*first), named_state(*second))


def test_sums_of_our_own_training_survive(model, tmp_path):
    """More digits than float32 has."""
    indicator = model[1].classifiers[0].criterion.indicator
    indicator.numerator.fill_(1 / 3)
    indicator.counts.fill_(2**24 + 1)
    write_published(tmp_path / "ours.pth", published_state(*model), tuple(FIVE.names))
    new = small()
    load_published(read_published(tmp_path / "ours.pth"), *new, FIVE)
    assert equal(named_state(*model), named_state(*new))


def test_everything_that_does_not_fit_is_listed_at_once(file):
    state = file.state
    del state["neck.fpn_convs.2.conv.bias"]
    state["backbone.bn2.weight"] = torch.zeros(3)
    state["roi_head.semantic_head.conv.weight"] = torch.zeros(3)
    state["rpn_head.rpn_conv.bias"] = torch.zeros(7)
    state["roi_head.bbox_head.loss_cls.num_gt"] += 0.5
    with pytest.raises(CheckpointError) as error:
        load_published(file, *small(), FIVE)
    message = str(error.value)
    for line in (
        "missing neck.fpn_convs.2.conv.bias (detector.fpn.output.2.bias)",
        "unexpected backbone.bn2.weight",
        "unexpected roi_head.semantic_head.conv.weight\n",
        "rpn_head.rpn_conv.bias (detector.rpn.head.conv.bias) is (7,), expected (8,)",
        "loss_cls.num_gt (head.criterion.indicator.counts) holds values that are no int64",
    ):
        assert line in message
    assert "published.pth does not fit this model" in message


def test_a_misfit_leaves_the_model_as_it_was(file):
    new = small()
    before = deepcopy(named_state(*new))
    file.state["rpn_head.rpn_conv.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointError):
        load_published(file, *new, FIVE)
    assert equal(before, named_state(*new))


@pytest.mark.parametrize(
    ("published", "ours", "fitting"),
    [
        ("bacl", "bce", "head=bacl"),
        ("bacl", "fcbl", "head=bacl"),
        ("fcbl", "bacl", "head=fcbl"),
        ("bce_objectness", "bacl", "head=cross_entropy or head=bce_objectness or head=eqlv2"),
        ("bce", "cross_entropy", "head=bce"),
    ],
)
def test_the_head_that_fits_is_named(published, ours, fitting):
    state = published_state(*small(f"head={published}"))
    file = PublishedFile(Path("published.pth"), state, None)
    logits = 5 if published == "bce" else 6
    expected = f"Its classifier has {logits} logits for 5 categories and fits {fitting}"
    with pytest.raises(CheckpointError, match=rf"{expected}$"):
        load_published(file, *small(f"head={ours}"), FIVE)


def test_softmax_and_sigmoids_fit_both_heads():
    """Tensors do not tell them apart: the configuration does."""
    state = published_state(*small("head=cross_entropy"))
    load_published(
        PublishedFile(Path("published.pth"), state, None), *small("head=bce_objectness"), FIVE
    )


def test_another_number_of_categories_is_refused(file):
    six = Categories([*FIVE.ids, 9], [*FIVE.names, "fox"])
    with pytest.raises(CheckpointError, match="has 5 categories, the training annotations have 6"):
        load_published(file, *small(classes=6), six)


def test_another_order_of_categories_is_refused(file):
    names = ("ant", "cat", "bee", "dog", "emu")
    swapped = PublishedFile(file.path, file.state, names)
    with pytest.raises(CheckpointError, match="its label 1 is 'cat', which is label 2"):
        load_published(swapped, *small(), FIVE)
    # Names of another spelling say nothing.
    other = PublishedFile(file.path, file.state, ("Ant", "Bee", "Cat", "Dog", "Emu"))
    load_published(other, *small(), FIVE)


def test_batch_norms_of_old_files_need_no_count(file):
    for key in [key for key in file.state if key.endswith("num_batches_tracked")]:
        del file.state[key]
    load_published(file, *small(), FIVE)


def test_parts_that_mmdetection_lacks_are_named():
    model = small("indicator@head.loss.indicator=mean_score")
    with pytest.raises(CheckpointError, match=r"has head\.criterion\.indicator\.\w+"):
        published_state(*model)


def cascade_shapes() -> dict[str, tuple[int, ...]]:
    """MMDetection's Cascade R-CNN for 1230 categories: three box heads, one regression for all."""
    sides = {
        "fc_cls": (1231, 1024), "fc_reg": (4, 1024),
        "shared_fcs.0": (1024, 12544), "shared_fcs.1": (1024, 1024),
    }  # fmt: skip
    shared = {key: shape for key, shape, _ in KEYS["faster_r50_v0.5_classifier"]}
    shapes = {key: tuple(shape) for key, shape in shared.items() if "roi_head" not in key}
    for layer, shape in sides.items():
        for stage in range(3):
            shapes[f"roi_head.bbox_head.{stage}.{layer}.weight"] = shape
            shapes[f"roi_head.bbox_head.{stage}.{layer}.bias"] = shape[:1]
    return shapes


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape, _ in KEYS[name]}


@pytest.mark.parametrize(
    ("detector", "head", "classes", "published"),
    [
        ("faster_rcnn_r50", "bacl", 1230, published_shapes("faster_r50_v0.5_classifier")),
        ("mask_rcnn_r50", "bacl", 1203, published_shapes("mask_r50_v1_classifier")),
        ("cascade_rcnn_r50", "cross_entropy", 1230, cascade_shapes()),
    ],
    ids=["faster", "mask", "cascade"],
)
def test_every_published_name_is_one_of_ours(detector, head, classes, published):
    if not (REPOSITORY / f"conf/detector/{detector}.yaml").is_file():
        pytest.skip(f"there is no detector={detector} yet")
    overrides = (f"detector={detector}", f"head={head}", f"data.num_classes={classes}")
    ours = named_state(*build("+experiment=bacl_lvis05", *overrides))
    shapes = {key: tuple(v.shape) for key, v in ours.items() if isinstance(v, torch.Tensor)}
    assert {our_name(key): shape for key, shape in published.items()} == shapes
    assert {published_name(key) for key in shapes} == published.keys()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("roi_head.bbox_head.0.fc_cls.weight", "head.first.predictor.weight"),
        ("roi_head.bbox_head.1.fc_reg.bias", "detector.box_regression.second.fc.bias"),
        ("roi_head.bbox_head.2.shared_fcs.1.bias", "detector.box_head.third.shared_fcs.1.bias"),
        ("roi_head.mask_head.convs.3.conv.bias", "detector.mask.head.convs.3.bias"),
        ("roi_head.mask_head.conv_logits.weight", "detector.mask.head.predictor.weight"),
        ("neck.fpn_convs.12.conv.weight", "detector.fpn.output.12.weight"),
        ("backbone.layer1.0.downsample.1.bias", "detector.backbone.layer1.0.downsample.1.bias"),
    ],
)
def test_names_there_and_back(theirs, ours):
    assert our_name(theirs) == ours
    assert published_name(ours) == theirs


def test_foreign_names_are_nobodys():
    assert our_name("roi_head.bbox_head.3.fc_cls.weight") is None
    assert our_name("neck.fpn_convs.x.conv.weight") is None
    assert published_name("head.predictor") is None


STATE = OrderedDict({"backbone.conv1.weight": torch.arange(3.0)})


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_notes_and_optimiser_are_passed_over(tmp_path, zipped):
    meta = {
        "mmdet_version": "2.8.0", "epoch": 12, "time": "Mon", "CLASSES": ("ant",), "seed": None,
        "lr": [np.float64(0.02), np.float32(1)], "iter": np.int64(5), "best": np.bool_(True),
    }  # fmt: skip
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    path = tmp_path / "published.pth"
    content = {"meta": meta, "state_dict": STATE, "optimizer": optimizer}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    file = read_published(path)
    assert list(file.state) == list(STATE)
    assert file.category_names == ("ant",)


def test_scalars_of_numpy_1_are_read(tmp_path):
    torch.save({"meta": {"lr": np.float64(0.02)}, "state_dict": STATE}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(
        tmp_path / "old.pth", "w"
    ) as old:  # fmt: skip
        for name in new.namelist():
            content = new.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(name, content)
    assert torch.equal(
        read_published(tmp_path / "old.pth").state["backbone.conv1.weight"], *STATE.values()
    )


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"model": STATE},
        {"state_dict": OrderedDict({f"module.{key}": value for key, value in STATE.items()})},
    ],
    ids=["bare", "model", "module"],
)
def test_wrappers_come_off(tmp_path, content):
    torch.save(content, tmp_path / "published.pth")
    assert list(read_published(tmp_path / "published.pth").state) == list(STATE)


class Evil:
    """Pickles as a call of `os.system`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("place", ["meta", "optimizer", "state_dict"])
def test_a_file_that_would_execute_code_is_refused_and_nothing_runs(tmp_path, zipped, place):
    path, trace = tmp_path / "published.pth", tmp_path / "executed"
    content = {"meta": {}, "state_dict": STATE, "optimizer": {}} | {place: {"x": Evil(trace)}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as error:
        read_published(path)
    assert not trace.exists()
    assert re.search(
        r"nothing in it was executed: it asks for (posix|nt)\.system", str(error.value)
    )
    assert "weights_only" not in str(error.value)  # no advice to execute it


class HistoryBuffer:
    """As MMEngine's: its state names methods, by `getattr`, and holds arrays."""

    def __init__(self):
        self.log, self.methods = np.arange(3.0), {"min": Methods.min}


class Methods:
    def min(self):
        """Is pickled by its qualified name."""


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_objects_of_mmdetection_3_are_passed_over(tmp_path, zipped, monkeypatch):
    package = ModuleType("mmengine")
    monkeypatch.setitem(sys.modules, "mmengine", package)
    kinds = (HistoryBuffer, Methods) if zipped else (HistoryBuffer,)
    for kind in kinds:
        monkeypatch.setattr(kind, "__module__", "mmengine")
        setattr(package, kind.__name__, kind)
    if not zipped:
        monkeypatch.setattr(HistoryBuffer, "__init__", lambda self: setattr(self, "log", [1, 2]))
    content = {
        "meta": {"mmdet_version": "3.3.0", "dataset_meta": {"classes": ("ant",)}},
        "message_hub": {"log_scalars": OrderedDict({"train/loss": HistoryBuffer()})},
        "optimizer": defaultdict(list, {"state": [Path("x"), np.float32(1)]}) if zipped else {},
        "state_dict": STATE,
    }
    path = tmp_path / "epoch_12.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "mmengine")
    file = read_published(path)
    assert file.category_names == ("ant",)
    assert torch.equal(file.state["backbone.conv1.weight"], STATE["backbone.conv1.weight"])
    assert "mmengine" not in sys.modules


def test_objects_among_the_weights_are_refused(tmp_path, monkeypatch):
    package = ModuleType("mmengine")
    monkeypatch.setitem(sys.modules, "mmengine", package)
    monkeypatch.setattr(HistoryBuffer, "__module__", "mmengine")
    package.HistoryBuffer = HistoryBuffer
    torch.save({"state_dict": {"a": HistoryBuffer()}}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"no state_dict of tensors: a is no tensor"):
        read_published(tmp_path / "odd.pth")


def test_the_allowance_ends_with_the_file(tmp_path):
    torch.save({"state_dict": STATE}, tmp_path / "published.pth")
    read_published(tmp_path / "published.pth")
    assert np.dtype not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x80\x02cos\nsystem\n.", b"PK\x03\x04 cut off"]
)
def test_damaged_files_are_told(tmp_path, content):
    (tmp_path / "published.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"published\.pth: refused"):
        read_published(tmp_path / "published.pth")


def test_a_compressed_archive_is_refused_before_its_pickle_is_looked_at(tmp_path, monkeypatch):
    path = tmp_path / "published.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("published/data.pkl", bytes(10_000))
    monkeypatch.setattr(
        torch.serialization, "get_unsafe_globals_in_checkpoint", lambda *_: pytest.fail("inflated")
    )
    with pytest.raises(CheckpointError, match="an archive that torch did not write"):
        read_published(path)


def test_other_files_are_told(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_published(tmp_path / "absent.pth")
    torch.save({"detector": {}, "heads": {}, "categories": {}}, tmp_path / "ours.ckpt")
    with pytest.raises(CheckpointError, match="without job=import"):
        read_published(tmp_path / "ours.ckpt")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="it holds list"):
        read_published(tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"meta": {"mmdet_version": "1.2.0"}, "state_dict": STATE}, "of MMDetection 1.2.0"),
        ({"state_dict": {"bbox_head.fc_cls.weight": torch.ones(2)}}, "of MMDetection 1.x"),
        ({"state_dict": {"bbox_head.2.fc_cls.weight": torch.ones(2)}}, "of MMDetection 1.x"),
        ({"meta": {"config": "style='caffe'"}, "state_dict": STATE}, "style='caffe'"),
    ],
)
def test_other_conventions_are_refused(tmp_path, content, reason):
    torch.save(content, tmp_path / "published.pth")
    with pytest.raises(CheckpointError, match=reason):
        read_published(tmp_path / "published.pth")


def test_a_backbone_that_mmdetection_names_otherwise_is_refused():
    named = ("detector=faster_rcnn_mobilenet", "detector.backbone.weights=null")
    with pytest.raises(CheckpointError, match=r"has detector\.backbone\.features\.0"):
        published_state(*build(*named, "data.num_classes=5"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t * float("nan"), "holds NaN or infinity"),
        (lambda t: t.to(torch.int8), "is int8, expected float32"),
        (lambda t: t.to(torch.complex64), "is complex64, expected float32"),
    ],
)
def test_weights_of_no_use_are_refused_by_name(file, change, told):
    name = "rpn_head.rpn_conv.bias"
    file.state[name] = change(file.state[name])
    with pytest.raises(
        CheckpointError, match=rf"{name} \(detector\.rpn\.head\.conv\.bias\) {told}"
    ):
        load_published(file, *small(), FIVE)


def test_half_precision_is_widened(file):
    name = "rpn_head.rpn_conv.bias"
    file.state[name] = torch.full_like(file.state[name], 0.5).half()
    detector, head = small()
    load_published(file, detector, head, FIVE)
    assert (detector.rpn.head.conv.bias == 0.5).all()


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {}, "pytorch-lightning_version": "2.6"},
        {"detector": {}, "heads": {}, "categories": {}, "config": {}},
    ],
)
def test_our_own_checkpoints_need_no_import(tmp_path, content):
    torch.save(content, tmp_path / "ours.ckpt")
    with pytest.raises(CheckpointError, match="a checkpoint of this project, which is used as it"):
        read_published(tmp_path / "ours.ckpt")


@pytest.mark.parametrize("key", ["mmdet_version", "config", "dataset_meta", "CLASSES"])
def test_notes_of_another_kind_are_passed_over(tmp_path, key):
    laughs = []
    for _ in range(40):  # whoever prints it never ends
        laughs = [laughs, laughs]
    for value in (laughs, {1: 2}, 3, None, torch.zeros(2)):
        torch.save({"meta": {key: value}, "state_dict": STATE}, tmp_path / "published.pth")
        assert read_published(tmp_path / "published.pth").category_names is None
