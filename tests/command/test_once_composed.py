"""What was composed once is what Hydra would compose again."""

import pytest
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.command.explained import composed
from bacl.command.once_composed import HYDRAS_WORD, composed_once
from bacl.command.overview import CONF

WORDS = ["+experiment=bacl_demo", "~stages.classifier.heads.baseline", "hydra.run.dir=x", "seed=3"]


@pytest.fixture
def files_read(monkeypatch) -> list[list[str]]:
    """The words of which files were put together."""
    read, made = [], ConfigLoaderImpl._load_configuration_impl

    def counted(loader, config_name, overrides, *options, **more):
        read.append(overrides)
        return made(loader, config_name, overrides, *options, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    return read


def hydras(words: list[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    """As Hydra composes them for `python run.py`."""
    GlobalHydra.instance().clear()
    version.setbase("1.3")
    path = create_automatic_config_search_path(str(CONF.parent / "run.py"), None, "conf")
    own = Hydra.create_main_hydra2("run", path)
    return own.compose_config("config", words, mode, validate_sweep_overrides=False)


def test_what_was_composed_is_handed_over_as_hydra_would_compose_it(files_read):
    said = [*WORDS, HYDRAS_WORD]
    expected = hydras(said)
    with composed_once():
        composed(WORDS)
        files_read.clear()
        assert hydras(WORDS, RunMode.MULTIRUN).hydra.mode is None
        found = hydras(said)
    assert files_read == []
    assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
    assert found.hydra.mode == RunMode.RUN
    assert OmegaConf.is_struct(found)


def test_it_is_a_copy_and_of_the_same_words_alone(files_read):
    with composed_once():
        composed(WORDS).seed = 4
        assert hydras(WORDS).seed == 3
        hydras(WORDS).seed = 5
        assert hydras(WORDS).seed == 3
        files_read.clear()
        assert hydras([*WORDS, "seed=6"]).seed == 6
        assert len(files_read) == 1
    hydras(WORDS)
    assert len(files_read) == 2  # nothing is kept any more
