import json

import pytest
from omegaconf import OmegaConf

from bacl.messages.errors import UserError
from bacl.runs.folder import environment, record, write_text


def config(**changes):
    options = {"seed": 0, "head": {"loss": {"alpha": 0.85}}, "trainer": {"devices": 1}}
    return OmegaConf.create(options | changes)


def test_a_run_keeps_what_made_it(tmp_path):
    record(config(), tmp_path)
    assert OmegaConf.load(tmp_path / "config.yaml").head.loss.alpha == 0.85
    (recorded,) = json.loads((tmp_path / "environment.json").read_text())
    assert {"command", "git_commit", "packages", "python"} <= set(recorded)
    assert recorded["packages"]["torch"] == environment()["packages"]["torch"]


def test_resuming_on_other_hardware_is_allowed_and_keeps_the_first_record(tmp_path):
    record(config(), tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    record(config(trainer={"devices": 8}), tmp_path)
    assert (tmp_path / "config.yaml").read_text() == before
    assert len(json.loads((tmp_path / "environment.json").read_text())) == 2


def test_another_configuration_is_refused_by_the_keys_that_differ(tmp_path):
    record(config(), tmp_path)
    with pytest.raises(ValueError, match=r"head\.loss\.alpha: 0\.85 -> 0\.7.*name="):
        record(config(head={"loss": {"alpha": 0.7}}), tmp_path)


def test_files_are_written_as_a_whole(tmp_path):
    write_text(tmp_path / "a.json", "1")
    write_text(tmp_path / "a.json", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "2"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"null", b"{}", b"5", b"[" * 100_000])
def test_a_damaged_list_of_starts_begins_anew(tmp_path, capsys, content):
    (tmp_path / "environment.json").write_bytes(content)
    record(config(), tmp_path)
    assert len(json.loads((tmp_path / "environment.json").read_text())) == 1
    assert "environment.json is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b"text", b"{", b"a: ${b"])
def test_a_damaged_configuration_is_told_in_one_line(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml is damaged|another configuration") as told:
        record(config(), tmp_path)
    assert "\n" not in str(told.value)
