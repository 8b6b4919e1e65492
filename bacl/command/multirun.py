"""What a multirun's words cannot be, before Hydra composes any of its jobs."""

from collections.abc import Iterator, Sequence

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from bacl.command.explained import composed, explanation, key_of
from bacl.command.overview import CONF, names
from bacl.options.comparison import unknown


def check_multirun(overrides: Sequence[str]) -> None:
    """Refuse words that no job could be composed of, with those that may be meant.

    The first of several values stands for all of them: that they can be meant is seen with each
    job. Of choices of a group all are looked at. What is Hydra's own is left to it.

    Raises:
        SystemExit: names the override and the nearest that exists, or that it has no values.
    """
    own = [text for text in overrides if key_of(text).split(".")[0].split("/")[0] != "hydra"]
    parsed = _parsed(own)
    if unchosen := [line for each in parsed.values() for line in _unknown_choices(each)]:
        raise SystemExit("\n".join(unchosen))
    firsts = [_first(text, each) for text, each in parsed.items() if not _is_interval(each)]
    try:
        composed(firsts)
    except HydraException as error:
        raise SystemExit(explanation(firsts, error)) from None


def _parsed(texts: Sequence[str]) -> dict[str, Override]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()  # what is there, for `glob(…)`
    parsed = OverridesParser.create(loader).parse_overrides(list(texts))
    return dict(zip(texts, parsed, strict=True))


def _unknown_choices(override: Override) -> Iterator[str]:
    group = override.key_or_group
    if override.is_discrete_sweep() and (CONF / group).is_dir():
        known = set(names(group))
        chosen = [each for each in override.sweep_string_iterator() if each not in ("null", *known)]
        yield from (unknown(f"{group}={each}", known) for each in chosen)


def _is_interval(override: Override) -> bool:
    """Whether it has no values to choose of: a matter of the sweeper, as all that is Hydra's."""
    return override.is_sweep_override() and not override.is_discrete_sweep()


def _first(text: str, override: Override) -> str:
    """An override with the first of its values."""
    if not override.is_discrete_sweep():
        return text
    first = next(iter(override.sweep_string_iterator()), None)
    if first is None:
        raise SystemExit(f"{text}: has no values, so there is nothing to run")
    return f"{text.partition('=')[0]}={first}"
