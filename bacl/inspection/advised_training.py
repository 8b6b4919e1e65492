"""Advice on the training: batch, schedule, sampler, and what balances."""

import numpy as np

from bacl.inspection.advice import Advice, Setting, Stage
from bacl.inspection.category_counts import imbalance
from bacl.inspection.inspected import Inspected
from bacl.inspection.rules_of_thumb import (
    BATCHES,
    CLASSIFIER_STEPS,
    LIKELY_ROWS,
    SAMPLES,
    STEPS,
    drops,
    enough_pictures,
    suitable_batch,
    suitable_categories,
    suitable_epochs,
    suitable_warm_up,
)

LONG_TAIL = 10.0
"""Images of the largest category over those of the smallest from which on balance is worth it."""
FEWEST_JUDGES = 100
"""Validation images: with fewer a choice among heads is by chance."""


def batch_advice(data: Inspected, setting: Setting, side: float) -> tuple[Advice, int]:
    """Pictures of a step for the device and the data, and their number."""
    images = int(data.train.used.sum())
    # What fits a GPU is not known here: there the batch is kept, as far as the images allow.
    size = suitable_batch(setting.batch_size, images, side, setting.gpu)
    if size == setting.batch_size:
        return Advice("batch", (), f"kept: {size} of {images:,} images"), size
    why = (
        "a CPU"
        if size < enough_pictures(images)
        else f"{images:,} images: {BATCHES} batches of an epoch"
    )
    changed = (f"datamodule.batch_size={size}",)
    return Advice("batch", changed, f"for {why}; learning rates follow the batch"), size


def schedule_advice(data: Inspected, setting: Setting, batch: int) -> Advice:
    """Epochs and warm-up of each stage, with so many pictures in a step."""
    steps = max(1, int(data.train.used.sum()) // batch)
    overrides: list[str] = []
    for stage in setting.stages:
        overrides += _stage_schedule(stage, steps)
    told = f"an epoch has {steps:,} steps"
    if not overrides:
        return Advice("schedule", (), f"kept: {told}")
    wanted = "a classifier stage is to have some 500 in all, another stage 1,000"
    reason = f"{told}; {wanted}, a tenth of them at most to warm up"
    return Advice("schedule", tuple(overrides), reason)


def _stage_schedule(stage: Stage, steps: int) -> list[str]:
    wanted = CLASSIFIER_STEPS if stage.name == "classifier" else STEPS
    epochs = suitable_epochs(stage.epochs, wanted, steps)
    path = f"stages.{stage.name}.schedule"
    overrides = []
    if epochs > stage.epochs:
        milestones = ",".join(map(str, drops(epochs)))
        overrides += [f"{path}.epochs={epochs}", f"{path}.milestones=[{milestones}]"]
    warm_up = suitable_warm_up(stage.warmup_steps, epochs * steps)
    if warm_up != stage.warmup_steps:
        overrides.append(f"{path}.warmup_steps={warm_up}")
    return overrides


def sampler_advice(data: Inspected, setting: Setting) -> Advice:
    """The sampler."""
    ratio = imbalance(np.asarray(data.train.table.image_counts))
    if setting.decoupled or ratio < LONG_TAIL:
        why = "features are learnt from images as they are, and the classifier stage balances"
        return Advice(
            "sampler", (), f"kept: {why if setting.decoupled else 'there is no long tail'}"
        )
    told = f"the largest category has {ratio:,.0f} times the images of the smallest"
    reason = f"{told}, and no stage that balances follows"
    return Advice("sampler", ("sampler=repeat_factor",), reason)


def balance_advice(data: Inspected, setting: Setting) -> Advice:
    """Whether to choose among balanced heads."""
    ratio = imbalance(np.asarray(data.train.table.image_counts))
    judges = int(data.val.used.sum())
    told = f"the largest category has {ratio:,.0f} times the images of the smallest"
    if setting.chooses:
        return Advice("balance", (), f"kept: {told}")
    if ratio < LONG_TAIL:
        return Advice("balance", (), f"none is needed: {told}")
    if not setting.decoupled or judges < FEWEST_JUDGES:
        lack = f"{judges} validation images" if setting.decoupled else "this pipeline"
        return Advice(
            "balance", (), f"{told}; {lack} cannot tell which of many heads is best: kept"
        )
    return Advice(
        "balance",
        ("balance=auto",),
        f"{told}; which balance suits is found by training thirteen heads in one pass",
    )


def hallucination_advice(data: Inspected, setting: Setting, batch: int) -> Advice:
    """Rows of feature hallucination, c · m (Eq. 12-13), with so many pictures in a step."""
    part, images = "hallucinated rows", int(data.train.used.sum())
    if setting.hallucinated_rows is None:
        return Advice(part, (), "the head has none")
    objects = len(data.train.objects) / max(images, 1) * batch / setting.processes
    told = f"{setting.hallucinated_rows} rows beside {objects:.0f} objects in a process' step"
    categories = suitable_categories(setting.hallucinated_rows, objects)
    if categories is None:
        return Advice(part, (), f"kept: {told}")
    changed = (
        f"head.hallucination.categories={categories}", f"head.hallucination.samples={SAMPLES}"
    )  # fmt: skip
    return Advice(part, changed, f"{told}; LVIS has {LIKELY_ROWS:.0f} for each object")
