from pathlib import Path

import pytest
import torch
from torch import nn

from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    inherit,
    load_stage,
    load_strictly,
    save_stage,
    saved_categories,
)


class Head(nn.Module):
    def __init__(self, classes: int = 4):
        super().__init__()
        self.predictor = nn.Linear(3, classes)
        self.register_buffer("counts", torch.ones(classes))

    def named_classifiers(self):
        yield "", self


def categories(*names: str) -> Categories:
    return Categories(list(range(1, len(names) + 1)), list(names))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, nn.Module, Head]:
    detector, head = nn.Linear(2, 2), Head()
    path = tmp_path / "final.ckpt"
    save_stage(path, detector, nn.ModuleDict({"one": head}), categories("cat", "dog"), {"seed": 0})
    return path, detector, head


def test_a_saved_stage_comes_back_without_executing_anything(saved):
    path, detector, head = saved
    content = load_stage(path)  # weights_only
    assert torch.equal(content["detector"]["weight"], detector.weight)
    assert torch.equal(content["heads"]["one"]["counts"], head.counts)
    assert saved_categories(content) == categories("cat", "dog")
    assert not list(path.parent.glob("*.tmp"))


def test_every_head_starts_from_the_earlier_classifier_but_with_empty_statistics(saved):
    path, detector, head = saved
    new_detector, heads = nn.Linear(2, 2), nn.ModuleDict({"a": Head(), "b": Head()})
    heads["a"].counts.zero_()
    inherit(new_detector, heads, load_stage(path), path)
    assert torch.equal(new_detector.weight, detector.weight)
    for new in heads.values():
        assert torch.equal(new.predictor.weight, head.predictor.weight)
    assert heads["a"].counts.sum() == 0


def test_misfits_are_listed_by_name(saved):
    path, *_ = saved
    with pytest.raises(ValueError, match=r"weight is \(2, 2\), expected \(5, 2\)"):
        load_strictly(nn.Linear(2, 5), load_stage(path)["detector"], path)
    with pytest.raises(ValueError, match=r"missing 0\.weight"):
        load_strictly(nn.Sequential(nn.Linear(2, 2)), load_stage(path)["detector"], path)


def test_other_categories_are_refused_by_their_first_difference(tmp_path):
    with pytest.raises(ValueError, match=r"label 1 is \(2, 'cow'\).*\(2, 'dog'\)"):
        categories("cat", "dog").check(categories("cat", "cow"), tmp_path)
    with pytest.raises(ValueError, match="trained on 1 categories, but the data has 2"):
        categories("cat", "dog").check(categories("cat"), tmp_path)


def test_a_missing_or_foreign_file_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="train it first"):
        load_stage(tmp_path / "final.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"not the final\.ckpt of a stage"):
        load_stage(tmp_path / "last.ckpt")
    for content in (b"", b"text", b"\x80\x02cos\nsystem\n."):
        (tmp_path / "bad.ckpt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"bad\.ckpt: damaged, or no checkpoint"):
            load_stage(tmp_path / "bad.ckpt")
