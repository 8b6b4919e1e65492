"""The other toolkit's classifier as a finished stage that heads start from."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from bacl.checkpoints.handover import Categories, save_stage
from bacl.heads import Head
from bacl.rebalance.classifier_rows import with_background
from bacl.rebalance.dump import Dump

THEIRS = "theirs"
"""Name of the head that is the other classifier as it came, and of the stage that it stands for."""


@torch.no_grad()
def carry_on(
    path: Path, dump: Dump, head: Head, categories: Categories, config: dict[str, Any]
) -> None:
    """Write a final.ckpt with the dump's classifier as its only head.

    Args:
        path: of the file.
        dump: has the classifier.
        head: of its kind the file's head is; it is filled.
        categories: of the training file.
        config: of the run; the loss of its head THEIRS says how the classifier was trained.
    """
    (classifier,) = head.classifiers
    weight, bias = with_background(*dump.classifier, dump.description.rule == "softmax")
    assert isinstance(classifier.predictor, nn.Linear)
    classifier.predictor.weight.copy_(weight)
    classifier.predictor.bias.copy_(bias)
    last = list(config["stages"].values())[-1]
    stage = last | {"heads": {THEIRS: last["heads"][THEIRS]}}
    said = config | {"stages": {THEIRS: stage}}
    save_stage(path, nn.Module(), {THEIRS: head}, categories, said)
