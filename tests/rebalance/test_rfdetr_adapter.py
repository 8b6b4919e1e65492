"""Against RF-DETR itself, with random weights; skipped where it is not installed."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

from bacl.rebalance.dump import TRAIN, VAL
from bacl.rebalance.rfdetr_adapter import RFDETRAdapter

rfdetr = pytest.importorskip("rfdetr", reason="needs rfdetr: pip install 'bacl[rebalance-rfdetr]'")

FIELDS = {
    "resolution": 64, "patch_size": 16, "positional_encoding_size": 4, "num_windows": 1,
    "out_feature_indexes": [1, 2], "num_queries": 6, "group_detr": 2, "dec_layers": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    from rfdetr.config import RFDETRNanoConfig
    from rfdetr.models import build_model_from_config

    torch.manual_seed(0)
    config = RFDETRNanoConfig(**FIELDS, num_classes=3, pretrain_weights="none", device="cpu")
    model = build_model_from_config(config)
    with torch.no_grad():
        model.class_embed.weight.normal_(std=0.3)
        model.bbox_embed.layers[-1].weight.normal_(std=0.05)
    return model.eval()


@pytest.fixture
def adapter(model, tmp_path):
    torch.save({"model": model.state_dict(), "args": FIELDS}, tmp_path / "theirs.pth")
    return RFDETRAdapter(checkpoint=str(tmp_path / "theirs.pth"), dump=str(tmp_path / "dump"))


@pytest.mark.parametrize("kind", [dict, Namespace, SimpleNamespace])
def test_what_a_model_was_built_with_is_read_of_all_kinds_of_options(kind, model, tmp_path):
    said = kind(**FIELDS, num_classes=90, output_dir="elsewhere")
    torch.save({"model": model.state_dict(), "args": said}, tmp_path / "theirs.pth")
    adapter = RFDETRAdapter(checkpoint=str(tmp_path / "theirs.pth"), dump=str(tmp_path / "dump"))
    for name, value in FIELDS.items():
        assert getattr(adapter.configuration, name) == value
    assert adapter.configuration.num_classes == 3  # as the weights say
    adapter.build(adapter.checkpoint.weights).load_state_dict(adapter.checkpoint.weights)


def test_the_dump_has_what_the_classifier_sees_in_use(adapter, data, model):
    dump = adapter.dump(data)
    weight, bias = dump.classifier
    for name, images in ((TRAIN, data.train_set), (VAL, data.val_set)):
        image, target = images[1]
        rows = dump.image(name, dump.place(name, target.image_id))
        with torch.no_grad():
            found = model(adapter.picture(image))
        logits = rows.features @ weight.T + bias
        torch.testing.assert_close(logits, found["pred_logits"][0][:, :3], rtol=1e-3, atol=1e-4)


def test_labels_are_those_of_its_matcher_and_each_group_sees_an_object(adapter, data):
    dump = adapter.dump(data)
    for place in range(len(data.train_set)):
        rows = dump.image(TRAIN, place)
        objects = rows.objects[rows.objects >= 0]
        assert len(objects.unique()) == len(objects)  # one query of an object
        assert torch.bincount(rows.extra_objects).tolist() == [2] * len(objects)


def test_what_is_handed_back_detects_as_judged_and_loads_strictly(adapter, data, model, tmp_path):
    from rfdetr.models import PostProcess

    adapter.dump(data)
    weight, bias = torch.randn(4, 256) * 0.1, torch.randn(4)
    content = torch.load(adapter.hand_back(tmp_path, weight, bias), weights_only=True)
    assert content["args"] == FIELDS
    other = adapter.build(content["model"])
    other.load_state_dict(content["model"], strict=True)
    image, _ = data.val_set[0]
    with torch.no_grad():
        found = PostProcess(num_select=18)(
            other.eval()(adapter.picture(image)), torch.tensor([[72, 96]])
        )[0]
    rows = adapter.validation_rows(image, data.val_set[0][1])
    scores = (rows.features @ weight[:3].T + bias[:3]).sigmoid()
    best = scores.flatten().sort(descending=True, stable=True)
    torch.testing.assert_close(found["scores"], best.values, rtol=1e-4, atol=1e-5)
    assert set(found["labels"].tolist()) <= {0, 1, 2}
