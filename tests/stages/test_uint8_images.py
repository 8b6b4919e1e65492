"""Images that travel as bytes, as they do to a GPU, are learnt from as others."""

import torch

from bacl.data import loading
from bacl.data.collate import collate_uint8

ONE_STEP = "trainer.limit_train_batches=1"


def test_a_step_is_the_same(bench, snapshot, monkeypatch):
    plain, made = snapshot(bench("representation", ONE_STEP).fit()), []

    def noted(samples):
        made.append(collate_uint8(samples))
        return made[-1]

    monkeypatch.setattr(loading, "collate", noted)
    found = snapshot(bench("representation", ONE_STEP).fit())
    assert made[0].images.pixels.dtype == torch.uint8
    tensors = {key: value for key, value in plain.items() if isinstance(value, torch.Tensor)}
    assert len(tensors) > 50
    assert all(torch.equal(found[key], value) for key, value in tensors.items())
