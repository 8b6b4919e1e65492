"""Advice on the training: batch, schedule, sampler, and what balances."""

import math

import numpy as np

from bacl.inspection.advice import Advice, Setting, Stage
from bacl.inspection.category_counts import imbalance
from bacl.inspection.inspected import Inspected

BATCHES = 20
"""Of an epoch, at least."""
SMALL_SIDE = 256
"""Pixels up to which a CPU takes eight pictures at once."""
FEWEST_STEPS = {"classifier": 500}
"""Of a stage; 1,000 of any other."""
MOST_EPOCHS = 36
LONG_TAIL = 10.0
"""Images of the largest category over those of the smallest from which on balance is worth it."""
FEWEST_JUDGES = 100
"""Validation images: with fewer a choice among heads is by chance."""
FEWEST_ROWS, LIKELY_ROWS, MOST_ROWS = 1.3, 4.0, 8.0
"""Hallucinated rows for each object of a process' step. The paper has four: 96 for two images of
LVIS. With 75 objects a step, 20, 80 and 300 categories lost with a third of a row for each, and
hardly differed between 1.3 and 5 (docs/results.md, "Hallucinated rows of a step"); of c and m
the product alone mattered. On photographs eight gained and cost more than one."""
SAMPLES = 12
"""m, as in Sec. IV-B."""


def batch_advice(data: Inspected, setting: Setting, side: float) -> tuple[Advice, int]:
    """Pictures of a step for the device and the data, and their number."""
    images = int(data.train.used.sum())
    enough = 2 ** max(1, int(math.log2(max(images, 1) / BATCHES)))
    # What fits a GPU is not known here: there the batch is kept, as far as the images allow.
    limit = enough if setting.gpu else 8 if side <= SMALL_SIDE else 4
    size = min(setting.batch_size, limit, enough)
    if size == setting.batch_size:
        return Advice("batch", (), f"kept: {size} of {images:,} images"), size
    why = "a CPU" if limit < enough else f"{images:,} images: {BATCHES} batches of an epoch"
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
    wanted = FEWEST_STEPS.get(stage.name, 1000)
    epochs = max(stage.epochs, min(MOST_EPOCHS, math.ceil(wanted / steps)))
    path = f"stages.{stage.name}.schedule"
    overrides = []
    if epochs > stage.epochs:
        drops = sorted({max(1, round(epochs * 2 / 3)), max(1, round(epochs * 11 / 12))})
        milestones = ",".join(str(drop) for drop in drops if drop < epochs)
        overrides += [f"{path}.epochs={epochs}", f"{path}.milestones=[{milestones}]"]
    if stage.warmup_steps > epochs * steps / 4:
        overrides.append(f"{path}.warmup_steps={max(1, epochs * steps // 10)}")
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
    ratio = setting.hallucinated_rows / max(objects, 1e-9)
    told = f"{setting.hallucinated_rows} rows beside {objects:.0f} objects in a process' step"
    if FEWEST_ROWS <= ratio <= MOST_ROWS or not objects:
        return Advice(part, (), f"kept: {told}")
    categories = max(1, round(LIKELY_ROWS * objects / SAMPLES))
    changed = (
        f"head.hallucination.categories={categories}", f"head.hallucination.samples={SAMPLES}"
    )  # fmt: skip
    return Advice(part, changed, f"{told}; LVIS has {LIKELY_ROWS:.0f} for each object")
