"""What was composed once is what Hydra would compose again."""

from contextlib import suppress

import pytest
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.command import once_composed
from bacl.command.completion import completed
from bacl.command.explained import composed
from bacl.command.once_composed import HYDRAS_WORD, METHOD, composed_once
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


def test_the_words_of_jobs_that_train_nothing_are_composed_once_too(files_read):
    with composed_once():
        words = completed(["job=doctor", "+experiment=bacl_demo"])
        hydras(words, RunMode.MULTIRUN)
        hydras([*words, HYDRAS_WORD])
    assert len(files_read) == 1


def test_a_mode_that_the_command_says_stays_as_it_is_said(files_read):
    said = [*WORDS, HYDRAS_WORD]
    with composed_once():
        composed(said)
        files_read.clear()
        assert hydras(said).hydra.overrides.hydra == ["hydra.run.dir=x", HYDRAS_WORD]
        assert files_read == []
        assert hydras(WORDS).hydra.mode is None


def test_hydras_method_is_its_own_again_after_an_error():
    before = getattr(ConfigLoaderImpl, METHOD)
    replaced = []
    with suppress(KeyError), composed_once():
        replaced.append(getattr(ConfigLoaderImpl, METHOD) is not before)
        raise KeyError
    assert replaced == [True]
    assert getattr(ConfigLoaderImpl, METHOD) is before


class AnotherLoader(ConfigLoaderImpl):
    """Of a Hydra whose method takes a request, and that has no words to be known by."""

    def load_configuration(self, request):
        raise NotImplementedError


@pytest.mark.parametrize("lacking", [False, True])
def test_another_hydra_composes_for_itself(monkeypatch, lacking):
    if lacking:
        monkeypatch.setattr(AnotherLoader, METHOD, None)
    monkeypatch.setattr(once_composed, "_loader", lambda: AnotherLoader)
    before = getattr(AnotherLoader, METHOD)
    with composed_once():
        assert getattr(AnotherLoader, METHOD) is before


def test_a_hydra_with_more_arguments_is_handed_them(monkeypatch):
    class Later(ConfigLoaderImpl):
        def load_configuration(self, config_name, overrides, run_mode, from_shell=True, more=""):
            return f"{config_name} {overrides} {from_shell} {more}"

    monkeypatch.setattr(once_composed, "_loader", lambda: Later)
    loader = Later(create_automatic_config_search_path(None, None, str(CONF)))
    with composed_once():
        assert loader.load_configuration("c", ["a=1"], RunMode.RUN, more="x") == "c ['a=1'] True x"
        told = loader.load_configuration("c", ["a=1"], RunMode.RUN, from_shell=False, more="y")
        again = loader.load_configuration(config_name="c", overrides=["a=1"], run_mode=RunMode.RUN)
        assert again == told == "c ['a=1'] False y"
