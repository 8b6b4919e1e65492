"""Hydra's composing of conf/, in which what files say is read and merged once, not in each test.

Commands that choose the same files differ in the values they set alone, and Hydra sets those last.
What is kept are bytes of pickle: they are read in a sixth of the time of a copy of a configuration.
"""

import pickle
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any

import omegaconf.base
import pytest
from hydra._internal import config_loader_impl as loading
from hydra._internal import defaults_list as lists
from hydra._internal.config_repository import ConfigRepository, IConfigRepository
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

CONTENT = loading.ConfigLoaderImpl._compose_config_from_defaults_list
CHOSEN_FILES = loading.create_defaults_list
FILE = ConfigRepository.load_config
CHOICES = lists._create_interpolation_map
OVERRIDE = OverridesParser.parse_rule
REFERENCE = omegaconf.base.parse


class Kept:
    """Results by what they were made of; each is handed over as a copy of its own."""

    def __init__(self) -> None:
        self._results: dict[Hashable, bytes] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._results:
            self._results[key] = pickle.dumps(make())
        return pickle.loads(self._results[key])


def sets_a_value(override: Override, repository: IConfigRepository) -> bool:
    """Whether an override leaves it as it is which files are chosen; as Hydra decides it."""
    return isinstance(override.value(), dict) or not repository.group_exists(override.key_or_group)


def compose_once(patch: pytest.MonkeyPatch, conf: str) -> None:
    """Keep what the files say; those of other folders than `conf` and Hydra's own are read anew."""
    kept = Kept()
    known = (f"file://{conf}", "pkg://", "structured://")

    def sources(repository: IConfigRepository) -> tuple[str, ...] | None:
        paths = tuple(source.full_path() for source in repository.get_sources())
        return paths if all(path.startswith(known) for path in paths) else None

    def file(repository: ConfigRepository, config_path: str) -> Any:
        if (found := sources(repository)) is None:
            return FILE(repository, config_path)
        return kept.get((found, config_path), lambda: FILE(repository, config_path))

    def chosen_files(
        repo: IConfigRepository, overrides_list: Sequence[Override], **options: Any
    ) -> Any:
        if (found := sources(repo)) is None:
            return CHOSEN_FILES(repo=repo, overrides_list=overrides_list, **options)
        said = [override for override in overrides_list if not override.is_sweep_override()]
        values = [override for override in said if sets_a_value(override, repo)]
        choices = [override for override in said if override not in values]
        key = (found, *(override.input_line for override in choices), *options.items())
        made = kept.get(key, lambda: CHOSEN_FILES(repo=repo, overrides_list=choices, **options))
        made.config_overrides = made.overrides.config_overrides = values
        return made

    def content(
        loader: loading.ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> Any:
        if (found := sources(repo)) is None:
            return CONTENT(loader, defaults, repo)
        key = (found, *map(repr, defaults))
        return kept.get(key, lambda: CONTENT(loader, defaults, repo))

    def choices(overrides: Any, defaults_list: list[Any], self_added: bool) -> Any:
        """All that is chosen so far: few files ask for it, and it takes a fifth of the time."""
        asked = any(default.is_interpolation() for default in defaults_list)
        return CHOICES(overrides, defaults_list, self_added) if asked else None

    def override(parser: OverridesParser, text: str, rule_name: str) -> Any:
        return kept.get((text, rule_name), lambda: OVERRIDE(parser, text, rule_name))

    _set(patch, file, chosen_files, content, choices, override, cache(REFERENCE))


def compose_anew(patch: pytest.MonkeyPatch) -> None:
    """Read all files again, as Hydra does."""
    _set(patch, FILE, CHOSEN_FILES, CONTENT, CHOICES, OVERRIDE, REFERENCE)


def _set(
    patch: pytest.MonkeyPatch,
    file: Any,
    chosen_files: Any,
    content: Any,
    choices: Any,
    override: Any,
    reference: Any,
) -> None:
    patch.setattr(ConfigRepository, "load_config", file)
    patch.setattr(loading, "create_defaults_list", chosen_files)
    patch.setattr(loading.ConfigLoaderImpl, "_compose_config_from_defaults_list", content)
    patch.setattr(lists, "_create_interpolation_map", choices)
    patch.setattr(OverridesParser, "parse_rule", override)
    patch.setattr(omegaconf.base, "parse", reference)  # of `${…}`; what it gives is only looked at
