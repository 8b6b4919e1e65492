"""What an interrupted prediction left is taken only where it is whole, and of the same command."""

import json

import pytest
import torch

from bacl.data.batch import Detections, Target
from bacl.data.images.image_folder import FoundImages
from bacl.data.images.read_pictures import Unreadable
from bacl.data.images.traits import Trait
from bacl.prediction import kept_key
from bacl.prediction.begun_files import BegunFiles
from bacl.prediction.detected_batch import DetectedBatch
from bacl.prediction.kept_batches import KeptBatches
from bacl.prediction.kept_key import prediction_key

NOTHING = torch.zeros(0, dtype=torch.int64)


def keep(kept: KeptBatches, number: int) -> None:
    target = Target(number + 1, torch.zeros(0, 4), NOTHING, *[(4, 6)] * 3, NOTHING, NOTHING)
    found = Detections(torch.full((1, 4), float(number)), torch.ones(1), torch.zeros(1).long())
    unreadable = [Unreadable("b.jpg", "is broken")]
    kept.keep(number, DetectedBatch([target], [Trait(0)], unreadable, {"bacl": [found]}))


def boxes(kept: KeptBatches) -> list[float]:
    return [each.detections["bacl"][0].boxes[0, 0].item() for each in kept.known()]


def test_batches_come_back_in_order(tmp_path):
    kept = KeptBatches(tmp_path, "key")
    for number in range(3):
        keep(kept, number)
    assert boxes(kept) == [0, 1, 2]
    (first, *_) = kept.known()
    assert first.unreadable == [Unreadable("b.jpg", "is broken")]
    assert first.targets[0].original_size == (4, 6)
    kept.remove()
    assert boxes(kept) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_file_that_ends_early_ends_what_is_known(tmp_path, share):
    kept = KeptBatches(tmp_path, "key")
    for number in range(3):
        keep(kept, number)
    file = sorted((tmp_path / ".kept").glob("*.npz"))[1]
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert boxes(kept) == [0]


def test_a_batch_that_another_command_wrote_meanwhile_is_not_taken(tmp_path):
    own, other = KeptBatches(tmp_path, "own"), KeptBatches(tmp_path, "other")
    keep(own, 0)
    keep(other, 1)  # it began before, in the same folder
    assert boxes(own) == [0]
    assert boxes(other) == []


def test_a_prediction_is_another_where_pictures_or_their_permissions_changed(tmp_path):
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"1")
    found = FoundImages(tmp_path, ["a.jpg", "gone.jpg"], {})
    key = prediction_key(found, "model", {"a": 1})
    assert prediction_key(found, "model", {"a": 1}) == key
    assert prediction_key(found, "model", {"a": 2}) != key
    assert prediction_key(found, "other model", {"a": 1}) != key
    picture.chmod(0o600 if picture.stat().st_mode & 0o777 != 0o600 else 0o644)
    assert prediction_key(found, "model", {"a": 1}) != key


def test_a_prediction_is_another_where_the_program_changed(tmp_path, monkeypatch):
    found = FoundImages(tmp_path, [], {})
    (tmp_path / "bacl").mkdir()
    for name in ("a.py", "notes.txt"):
        (tmp_path / "bacl" / name).write_text("1")
    monkeypatch.setattr(kept_key, "PACKAGE", tmp_path / "bacl")
    key = prediction_key(found, "model", {})
    (tmp_path / "bacl/notes.txt").write_text("2")
    assert prediction_key(found, "model", {}) == key
    (tmp_path / "bacl/a.py").write_text("2")
    assert prediction_key(found, "model", {}) != key
    key = prediction_key(found, "model", {})
    monkeypatch.setattr(kept_key, "DECODER", "another")
    assert prediction_key(found, "model", {}) != key


@pytest.mark.parametrize(("place", "value"), [(8, 9), (6, 1), (4, 255)])
def test_a_byte_that_says_how_a_file_is_packed_ends_what_is_known(tmp_path, place, value):
    """Its method, that it is encrypted, and the version that reads it."""
    kept = KeptBatches(tmp_path, "key")
    for number in range(3):
        keep(kept, number)
    file = sorted((tmp_path / ".kept").glob("*.npz"))[1]
    content = bytearray(file.read_bytes())
    listed = content.index(b"PK\x01\x02") + 2  # of the list of files, which has a field before
    content[listed + place] = value
    file.write_bytes(bytes(content))
    assert boxes(kept) == [0]


def test_listed_files_are_removed_and_no_others(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other.jpg"
    files = [out / name for name in ("a.jpg", "sub/line\nend.jpg", "\udcff.jpg", "gone.jpg")]
    begun = BegunFiles(out, out / ".kept/begun.txt")
    out.mkdir()
    (out / "own.jpg").touch()
    begun.note(files)
    files[0].touch()
    begun.note([files[0], out / "own.jpg"])  # one is a user's
    assert len((out / ".kept/begun.txt").read_text().splitlines()) == 4
    (out / "sub").mkdir()
    for path in (*files[:3], out / "own.jpg", other):
        path.touch()
    with (out / ".kept/begun.txt").open("a") as file:  # not by this program; and cut off
        file.write(f'"../other.jpg"\n{json.dumps(str(other))}\n"."\n"own')
    BegunFiles(out, out / ".kept/begun.txt").remove()
    assert sorted(path.name for path in out.rglob("*")) == [".kept", "own.jpg"]
    assert other.exists()
