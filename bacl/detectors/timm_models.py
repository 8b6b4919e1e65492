"""Models of the timm library, with random weights, those of a file, or what timm downloads."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bacl.detectors.weights import WeightsError, read_weights

SOURCES = {
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict"),
    *("checkpoint_path", "cache_dir", "features_only"),
}
"""Options of timm's that say where weights come from: ours is `weights`."""
FREE = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"}
"""Licences, as timm names them, that allow any use of the weights."""
Create = Callable[..., Any]
"""`timm.create_model` but for the weights."""
_LOG = logging.getLogger(__name__)


def create_model(
    name: str, weights: str | None, options: Mapping[str, Any], **built_as: Any
) -> Any:
    """A timm model.

    What is known of the licence of its weights is told in one line, where it is not free.

    Args:
        name: timm's, with or without the tag of its weights.
        weights: a file (see `read_weights`) of the whole model, "timm" for what timm downloads, or
            None for random ones.
        options: of the model, as they were typed.
        **built_as: what else `timm.create_model` takes.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm knows no such model, or the model takes no such option.
        WeightsError: its weights cannot be had, are damaged, or belong to another model.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"backbone {name} needs the timm library: pip install 'bacl[timm]'"
        ) from error
    if taken := sorted(SOURCES & set(options)):
        raise ValueError(f"options of backbone {name}: {taken} are set by `weights`, not here")
    create = partial(timm.create_model, name, **{**built_as, **options})
    try:
        if weights is None:
            return create()
        if told := licence_line(name, timm.get_pretrained_cfg(name)):
            _LOG.info(told)
        if weights == "timm":
            return _downloaded(timm, name, create)
        return _from_file(name, create, Path(weights))
    except TypeError as error:
        raise ValueError(f"backbone {name}: timm refuses {dict(options)}: {error}") from error


def licence_line(name: str, published: Any) -> str | None:
    """What is to be said of the licence of published weights; None where it allows any use.

    Args:
        name: of the model.
        published: timm's `PretrainedCfg` of the weights, or None where it knows of none.
    """
    licence = getattr(published, "license", None)
    if licence is None or licence.lower() in FREE:
        return None
    page = f" (https://huggingface.co/{published.hf_hub_id})" if published.hf_hub_id else ""
    return (
        f"the published weights of {name} have the licence {licence}{page}, which is none of the "
        "free ones: read it before a model that was trained from them is used or handed on"
    )


def _from_file(name: str, create: Create, path: Path) -> Any:
    source = {"state_dict": read_weights(path)}
    random = _seeded(name, create)
    model = _seeded(name, create, pretrained=True, pretrained_cfg_overlay=source)
    # timm takes what fits from a file and leaves the rest at random, without a word. What kept its
    # random values, drawn twice from one seed, was not in the file.
    drawn = dict(random.named_parameters())
    left = [k for k, v in model.named_parameters() if v.dim() > 1 and torch.equal(v, drawn[k])]
    if left:
        raise WeightsError(f"weights {path} do not fit timm's {name}: missing {left[:3]}")
    return model


def _seeded(name: str, create: Create, **options: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            return create(**options)
        except RuntimeError as error:  # of load_state_dict: shapes
            raise WeightsError(f"weights do not fit timm's {name}: {error}") from error


def _downloaded(timm: Any, name: str, create: Create) -> Any:
    timm.models.set_pretrained_check_hash(True)  # where the address carries one
    try:
        return create(pretrained=True)
    except (OSError, RuntimeError) as error:  # not reachable; another digest, or no weights at all
        source = timm.get_pretrained_cfg(name)
        places = [source.url, f"https://huggingface.co/{source.hf_hub_id}"]
        addresses = " or ".join(place for place in places if place and "None" not in place)
        raise WeightsError(
            f"could not download timm's weights of {name} ({error}); fetch them elsewhere from "
            f"{addresses or 'their publisher'} and set detector.backbone.weights to the file, or "
            "to null for random weights"
        ) from error


def first_layer(model: Any) -> set[str]:
    """Names of a transformer's parameters before its blocks: embeddings, tokens, norms."""
    from timm.models import group_parameters

    layers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    return {name for name, layer in layers.items() if layer == 0}


def takes(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a model has options of these names, whatever else it needs."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            create_model(name, None, options, num_classes=0)
        except (ValueError, AssertionError, RuntimeError):  # no such argument, or no such value
            return False
    return True


def normalisation(model: Any) -> tuple[list[float], list[float]]:
    """Scale and shift (3 each, RGB) from pictures normalised as ImageNet's to a model's own way."""
    from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    mean, std = (model.pretrained_cfg[key] for key in ("mean", "std"))
    given = zip(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, mean, std, strict=True)
    pairs = [(theirs / own, (middle - wanted) / own) for middle, theirs, wanted, own in given]
    return [scale for scale, _ in pairs], [shift for _, shift in pairs]
