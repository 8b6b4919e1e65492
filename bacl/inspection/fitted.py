"""Options that are chosen by the data, each with its reason: what `+experiment=bacl_custom` takes.

Where a file of annotations is not there yet, or is as large as LVIS, the paper's numbers stand.
Resolvers of the configuration call these functions (`hydra_plugins/bacl_fitted.py`), so an option
that the command sets itself is not chosen. They refuse (`OptionError`) what they divide by before
its range is looked at.
"""

import math
from collections.abc import Sequence
from typing import Any

from bacl.inspection import rules_of_thumb as rules
from bacl.inspection.chosen import PAPER, Chosen
from bacl.inspection.chosen_anchors import anchor_scale as anchor_scale  # one of them
from bacl.inspection.facts import Facts
from bacl.inspection.process_count import has_gpu, processes
from bacl.messages.errors import require

FEW = 20_000
"""Training images below which the paper's numbers do not fit: LVIS has 57,000 and 100,000."""
EPOCHS, WARM_UP, BATCH, ROWS, RATE = 12, 500, 16, 96, 0.02
"""The paper's (Sec. IV-B)."""
SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "momentum": 0.9}
ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True}
ADAMW_RATE = 2e-4
ON_THEM = 0.004
"""Rate of SGD on features that AdamW made: they are large, and the paper's diverged on them."""
CLIP = 35.0
"""Largest norm of gradients; without it SGD at the paper's rate diverged on photographs."""
MEASURED = "measured on photographs, docs/results.md"
BATCH_SIZE, STAGE_EPOCHS = "datamodule.batch_size", "stages.….schedule.epochs"
VALIDATIONS = 4
"""Of the representation stage."""


def image_size(annotations: str) -> Chosen:
    """Pixels of the longer side of pictures in the network, a multiple of 16."""
    facts = Facts.of(annotations)
    if facts is None or not facts.images:
        return Chosen(rules.PAPERS_LIMIT, PAPER)
    short, long = facts.short_side, facts.long_side
    factor = rules.suitable_factor(short, facts.objects)
    found = min(long * factor, short * factor * rules.PAPERS_LIMIT / rules.PAPERS_SIDE)
    told = f"pictures are {long:.0f} x {short:.0f} pixels in the middle"
    if short >= rules.LARGE:
        told += f"; the paper's shorter side, {rules.PAPERS_SIDE}"
    elif factor > 1:
        told += f"; enlarged, so that three of four objects have {rules.VISIBLE:.0f} pixels"
    return Chosen(max(32, 16 * round(found / 16)), told)


def batch_size(
    annotations: str, size: int, accelerator: str, devices: Any = 1, nodes: int = 1
) -> Chosen:
    """Pictures of a step of all processes."""
    require("image_size", size, 1)
    facts = Facts.of(annotations)
    if facts is None or not facts.images:
        return Chosen(BATCH, PAPER)
    gpu = has_gpu(accelerator)
    side = size * facts.short_side / facts.long_side
    found = rules.suitable_batch(BATCH, facts.images, side, gpu)
    shares = processes(devices, nodes, accelerator)
    found = max(1, round(found / shares)) * shares
    few = f"{facts.images:,} images, {facts.images // found:,} steps an epoch"
    return Chosen(found, few if gpu or found == BATCH else f"{few}; no GPU")


def epochs(annotations: str, batch: int) -> Chosen:
    """Epochs of the representation stage."""
    require(BATCH_SIZE, batch, 1)
    facts = Facts.of(annotations)
    if facts is None or not facts.images:
        return Chosen(EPOCHS, PAPER)
    steps = max(1, facts.images // batch)
    found = rules.suitable_epochs(EPOCHS, rules.STEPS, steps)
    told = f"some {rules.STEPS:,} steps of {steps:,} an epoch, at most {rules.MOST_EPOCHS} epochs"
    return Chosen(found, PAPER if found == EPOCHS else told)


def classifier_epochs(annotations: str, of_features: int) -> Chosen:
    """Epochs of the classifier stage, for so many of the representation stage."""
    require("epochs", of_features, 1)
    if not _few(annotations):
        return Chosen(of_features, f"as many as the representation stage, {PAPER}")
    return Chosen((of_features + 1) // 2, "half of the representation stage: features are finished")


def milestones(of_stage: int) -> Chosen:
    """Epochs after which the learning rate falls."""
    require(STAGE_EPOCHS, of_stage, 1)
    return Chosen(rules.drops(of_stage), f"of {of_stage} epochs, as 8 and 11 of 12")


def warm_up(annotations: str, batch: int, of_stage: int) -> Chosen:
    """Steps of warm-up of a stage."""
    require(BATCH_SIZE, batch, 1)
    require(STAGE_EPOCHS, of_stage, 1)
    facts = Facts.of(annotations)
    if facts is None or not facts.images:
        return Chosen(WARM_UP, PAPER)
    steps = max(1, facts.images // batch) * of_stage
    found = rules.suitable_warm_up(WARM_UP, steps)
    told = PAPER if found == WARM_UP else f"a tenth of {steps:,} steps"
    return Chosen(found, told)


def optimizer(annotations: str, *starts: Any) -> Chosen:
    """That of the representation stage; it starts from any of these weights, or none."""
    if _adapts(annotations, starts):
        return Chosen(
            ADAMW, f"few images and trained weights to start from: 11 AP instead of 8, {MEASURED}"
        )
    return Chosen(SGD, PAPER)


def learning_rate(annotations: str, *starts: Any) -> Chosen:
    """For that optimiser."""
    adapts = _adapts(annotations, starts)
    return Chosen(ADAMW_RATE, "for AdamW, of any batch") if adapts else Chosen(RATE, PAPER)


def reference_batch(annotations: str, *starts: Any) -> Chosen:
    """Pictures of a step that the rate is for; None for any."""
    adapts = _adapts(annotations, starts)
    return Chosen(None, "AdamW's rate is kept") if adapts else Chosen(BATCH, PAPER)


def classifier_learning_rate(annotations: str, *starts: Any) -> Chosen:
    """Of SGD in the classifier stage, for 16 pictures a step."""
    if _adapts(annotations, starts):
        return Chosen(
            ON_THEM, f"features of AdamW are large, {RATE:g} diverged on them, {MEASURED}"
        )
    return Chosen(RATE, PAPER)


def gradient_clip(annotations: str) -> Chosen:
    """Largest norm of the gradients, of the detector and of every head."""
    if _few(annotations):
        return Chosen(CLIP, f"without it SGD diverged, {MEASURED}")
    return Chosen(None, f"none, {PAPER}")


def validation_every(of_features: int, of_classifier: int, take: str) -> Chosen:
    """Epochs between two validations; where the best of them is taken, the last epoch has one."""
    require("epochs", of_features, 1)
    require(STAGE_EPOCHS, of_classifier, 1)
    every = max(1, of_features // VALIDATIONS)
    if take == "best":  # both stages end with one (`bacl.runs.validations`)
        both = math.gcd(of_features, of_classifier)
        every = max(each for each in range(1, every + 1) if both % each == 0)
    return Chosen(every, f"{of_features // every} validations of the representation stage")


def hallucinated_categories(
    annotations: str, batch: int, devices: Any = 1, nodes: int = 1, accelerator: str = "auto"
) -> Chosen:
    """Categories for each of which twelve features are hallucinated in a step (c of Sec. III-E)."""
    require(BATCH_SIZE, batch, 1)
    facts = Facts.of(annotations)
    objects = 0.0
    if facts is not None and facts.images:
        objects = len(facts.rows) / facts.images * batch / processes(devices, nodes, accelerator)
    asked = ROWS // rules.SAMPLES
    found = rules.suitable_categories(ROWS, objects) or asked
    rows = f"{found * rules.SAMPLES} rows beside {objects:.0f} objects in a process' step"
    return Chosen(found, rows if objects else PAPER)


def _few(annotations: str) -> bool:
    facts = Facts.of(annotations)
    return facts is not None and 0 < facts.images < FEW


def _adapts(annotations: str, starts: Sequence[Any]) -> bool:
    """Whether AdamW adapts what was trained before to few images."""
    return _few(annotations) and any(start is not None for start in starts)
