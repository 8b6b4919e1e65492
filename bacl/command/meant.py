"""What a short word would be, where a command has none of that name."""

from omegaconf import DictConfig

from bacl.options.composed import flat, plain

OTHER_TOOLS = {
    "batch": "batch_size",
    "imgsz": "image_size",
    "lr": "learning_rate",
    "lr0": "learning_rate",
    "momentum": "momentum",
    "workers": "num_workers",
}
"""Words of other tools, and the last part of the option that they mean."""
CHOICES = {
    "augmentation": "augment@stages.{stage}.augment=…",
    "image_size": "stages.{stage}.augment.test.short_sides=[{value}]",
}
"""Words that are an option of each stage, but none of that name."""
INSTEAD = {
    "device": "trainer=cpu, trainer=gpu or trainer=ddp",
    "model": "detector=…",
    "weights": "detector.backbone.weights=…, or checkpoint=… of a finished detector",
}
"""Words that mean a choice."""
WORDS = {"epochs", "image_size", "augmentation"}
"""Of `+experiment=bacl_custom`."""
LISTED = 6


def meant(text: str, config: DictConfig) -> str:
    """A line about an override whose key is a word alone and no option; empty if nothing is known.

    Args:
        text: the override.
        config: what it would have been one of.
    """
    key, _, value = text.lstrip("+~").partition("=")
    if "." in key or "@" in key or key in config:
        return ""
    word = OTHER_TOOLS.get(key, key)
    if word in config:
        paths = [f"{word}={value}"]
    elif word in CHOICES:
        stages = list(config.stages)
        paths = [CHOICES[word].format(stage=stage, value=value) for stage in stages]
    else:
        found = [path for path in flat(plain(config, resolve=False)) if _last(path) == word]
        paths = [f"{path}={value}" for path in found[:LISTED]]
    if key in INSTEAD:
        paths = [INSTEAD[key]]
    if not paths:
        return ""
    typed = text.replace("augmentation=", "augment=", 1)
    told = word in WORDS and word not in config
    own = " For your own data, +experiment=bacl_custom has the word." if told else ""
    return f"{typed}: no such option here; did you mean {' '.join(paths)}?{own}"


def _last(path: str) -> str:
    return path.rpartition(".")[2]
