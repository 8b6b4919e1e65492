"""What is drawn of an evaluation, and how much of it."""

from types import SimpleNamespace

import numpy as np
import torch

from bacl.evaluation.errors.suspicions import LabelSuspicions, SuspicionKind
from bacl.runs import drawings


def test_of_many_suspicions_the_surest_pictures_that_can_be_read_are_loaded(tmp_path, monkeypatch):
    number, loaded, drawn = 100, [], []

    def load(row):
        loaded.append(row)
        return torch.zeros(3, 8, 8, dtype=torch.uint8)

    monkeypatch.setattr(
        drawings, "draw_cutouts", lambda path, cutouts, title: drawn.extend(cutouts)
    )
    rows = np.arange(number)
    table = SimpleNamespace(image_ids=rows, category_names=["cup", "mug"])
    readable = SimpleNamespace(records=rows[1:], files=SimpleNamespace(load=load))
    found = LabelSuspicions(
        SuspicionKind.CONTRADICTED, rows, np.ones((number, 4)), rows, rows * 0, rows * 0 + 1,
        np.linspace(1, 0.5, number),
    )  # fmt: skip
    data = SimpleNamespace(val_table=table, val_set=readable)
    drawings._draw_suspicions(found, data, tmp_path / "sheet.png")
    assert loaded == list(range(1, 25))
    assert len(drawn) == 24
