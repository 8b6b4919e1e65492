"""Downloads from a server in this process, and what is said of missing files."""

import hashlib
import io
import json
import re
import shutil
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from bacl.data import missing_files as missing_files_module
from bacl.data import preparation
from bacl.data.annotations.image_names import candidate_names, find_image
from bacl.data.annotations.table import AnnotationTable
from bacl.data.download import DownloadError, download
from bacl.data.lvis import RELEASES, Archive, Release, Split
from bacl.data.missing_files import MissingDataError, missing_files, require_files
from bacl.data.preparation import check_counts, prepare
from bacl.data.unpacking import unpack
from bacl.files.disk_space import NotEnoughSpaceError, require_space

BODY = bytes(range(256)) * 40


class Server(BaseHTTPRequestHandler):
    """Serves `files`, closes the connection after `cuts` bytes of an answer, notes the ranges."""

    def __init__(self, files, cuts, ranges, *args):
        self.files, self.cuts, self.ranges = files, cuts, ranges
        super().__init__(*args)

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        body = self.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.cuts.pop(0) if self.cuts else len(body)
        self.wfile.write(body[start : start + cut])

    def log_message(self, *_):
        pass


class Served:
    def __init__(self):
        self.files, self.cuts, self.ranges = {"/x.zip": BODY}, [], []
        handler = partial(Server, self.files, self.cuts, self.ranges)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def served(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    served = Served()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def md5(content):
    return hashlib.md5(content).hexdigest()


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def test_download_is_complete_and_checked(served, tmp_path):
    target = tmp_path / "downloads" / "x.zip"
    download(f"{served.address}/x.zip", target, len(BODY), md5(BODY))
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["x.zip"]
    download(f"{served.address}/x.zip", target)
    assert served.ranges == [None]  # what is there is not fetched again


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_cut_connection_is_resumed(served, tmp_path, size):
    served.cuts += [3000, 1, 2000]
    download(f"{served.address}/x.zip", tmp_path / "x.zip", size, md5(BODY), wait=0)
    assert (tmp_path / "x.zip").read_bytes() == BODY
    assert served.ranges == [None, "bytes=3000-", "bytes=3001-", "bytes=5001-"]


def test_an_interrupted_run_is_resumed_by_the_next(served, tmp_path):
    (tmp_path / "x.zip.part").write_bytes(BODY[:7000])
    download(f"{served.address}/x.zip", tmp_path / "x.zip", len(BODY), md5(BODY))
    assert (tmp_path / "x.zip").read_bytes() == BODY
    assert served.ranges == ["bytes=7000-"]
    (tmp_path / "y.zip.part").write_bytes(BODY)  # stopped between the last byte and the check
    download(f"{served.address}/x.zip", tmp_path / "y.zip", len(BODY), md5(BODY))
    assert (tmp_path / "y.zip").read_bytes() == BODY
    assert len(served.ranges) == 1


def test_a_file_url_starts_over_because_it_cannot_resume(tmp_path):
    source = tmp_path / "source.zip"
    source.write_bytes(BODY)
    (tmp_path / "x.zip.part").write_bytes(b"other")
    download(source.as_uri(), tmp_path / "x.zip", len(BODY), md5(BODY))
    assert (tmp_path / "x.zip").read_bytes() == BODY


def test_wrong_checksum_deletes_the_file(served, tmp_path):
    with pytest.raises(
        DownloadError, match=r"arrived with MD5 .* expected MD5 0000; it was deleted"
    ):
        download(f"{served.address}/x.zip", tmp_path / "x.zip", len(BODY), "0000")
    assert list(tmp_path.iterdir()) == []


def test_another_size_is_refused_before_the_download(served, tmp_path):
    with pytest.raises(DownloadError, match=rf"has {len(BODY)} bytes now, expected 7"):
        download(f"{served.address}/x.zip", tmp_path / "x.zip", 7)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_says_where_to_put_the_file(served, tmp_path):
    target = tmp_path / "no.zip"
    with pytest.raises(DownloadError, match=rf"404.*put it at {target}"):
        download(f"{served.address}/no.zip", target, wait=0)
    assert served.ranges == [None]  # no second try for a file that does not exist
    served.cuts += [100, *[0] * 9]
    with pytest.raises(DownloadError, match=r"closed after 100 of 10240 .* 100 bytes are kept"):
        download(f"{served.address}/x.zip", tmp_path / "x.zip", attempts=3, wait=0)
    assert len(served.ranges) == 5
    assert (tmp_path / "x.zip.part").read_bytes() == BODY[:100]


def test_too_little_room_is_said_in_gigabytes(tmp_path):
    with pytest.raises(NotEnoughSpaceError, match=r"x needs 1000000000\.0 GB but .* free"):
        require_space(tmp_path, 10**18, "x")
    require_space(tmp_path, 1, "x")


def test_less_than_a_gigabyte_is_said_in_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=200_000))
    with pytest.raises(NotEnoughSpaceError, match=r"x needs 3\.4 MB but .* has 0\.2 MB free"):
        require_space(tmp_path, 3_400_000, "x")


def test_unpacked_folder_appears_whole(tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(zipped(deep__val__1="a", deep__val__2="b", other="c"))
    unpack(archive, tmp_path, tmp_path / "images" / "val", files=2)
    assert sorted(path.name for path in (tmp_path / "images" / "val").iterdir()) == ["1", "2"]
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_several_files_of_one_archive(tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(zipped(all__one="a", all__two="b", all__three="c"))
    unpack(archive, tmp_path, tmp_path / "one", files=1, keep=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "x.zip"]
    unpack(archive, tmp_path, tmp_path / "two", files=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_bad_archives(tmp_path):
    archive = tmp_path / "x.zip"
    content = zipped(val__1="abcdefgh" * 10)
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match="holds 1 files of val, expected 2"):
        unpack(archive, tmp_path, tmp_path / "val", files=2)
    with pytest.raises(DownloadError, match="does not hold train"):
        unpack(archive, tmp_path, tmp_path / "train", files=2)
    archive.write_bytes(content.replace(b"abcdefgh", b"abcdefgX", 1))
    with pytest.raises(DownloadError, match=r"is damaged .*CRC.* and was deleted"):
        unpack(archive, tmp_path, tmp_path / "val", files=1)
    assert list(tmp_path.iterdir()) == []


def annotations(names, number=1):
    return json.dumps(
        {
            "images": [
                {"id": n, "height": 9, "width": 9, "file_name": name}
                for n, name in enumerate(names)
            ],
            "annotations": [
                {"id": n, "image_id": 0, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25}
                for n in range(number)
            ],
            "categories": [{"id": 1, "name": "cat"}],
        }
    )


def only(monkeypatch, release: Release) -> None:
    """Let it be the only release that is known, as "tiny"."""
    for module in (preparation, missing_files_module):
        monkeypatch.setattr(module, "RELEASES", {"tiny": release})


@pytest.fixture
def release(served, monkeypatch):
    """A release of two annotation files and two image archives, served from this process."""
    served.files["/train.json.zip"] = zipped(**{"train.json": annotations(["a.jpg", "b.jpg"])})
    served.files["/val.json.zip"] = zipped(
        **{"val.json": annotations(["COCO_val2014_000000000007.jpg"])}
    )
    served.files["/train2017.zip"] = zipped(**{"train2017/a.jpg": "", "train2017/b.jpg": ""})
    served.files["/val2017.zip"] = zipped(**{"val2017/000000000007.jpg": ""})
    archives = [
        Archive(f"{served.address}/{name}.json.zip", "annotations", f"annotations/{name}.json")
        for name in ("train", "val")
    ]
    for name, files in (("train2017", 2), ("val2017", 1)):
        content = served.files[f"/{name}.zip"]
        url = f"{served.address}/{name}.zip"
        archives.append(Archive(url, ".", name, len(content), md5(content), files))
    release = Release(
        Split("annotations/train.json", "train2017", {"images": 2, "annotations": 1}, {"r": 1}),
        Split("annotations/val.json", "val2017", {"images": 1}),
        tuple(archives),
    )
    only(monkeypatch, release)
    return release


def test_prepare_gets_everything_once(served, release, tmp_path, caplog):
    root = tmp_path / "data"
    with caplog.at_level("INFO"):
        prepare(root, "tiny")
    assert sorted(path.name for path in root.iterdir()) == [
        "annotations",
        "downloads",
        "train2017",
        "val2017",
    ]
    assert list((root / "downloads").iterdir()) == []
    assert "counts and groups are the published ones" in caplog.text
    served.ranges.clear()
    prepare(root, "tiny")
    assert served.ranges == []


def test_prepare_leaves_out_images_that_lie_elsewhere(served, release, tmp_path):
    elsewhere = tmp_path / "coco"
    elsewhere.mkdir()
    for name in ("a.jpg", "b.jpg", "000000000007.jpg"):
        (elsewhere / name).touch()
    root = tmp_path / "data"
    paths = [
        {"annotations": root / f"annotations/{name}.json", "images": str(elsewhere)}
        for name in ("train", "val")
    ]
    prepare(root, "tiny", *paths)
    assert not (root / "train2017").exists()
    assert len(served.ranges) == 2


def test_other_counts_than_published_are_reported(release, tmp_path, caplog):
    path = tmp_path / "train.json"
    path.write_text(annotations(["a.jpg"], number=3))
    table = AnnotationTable.open(path)
    expected = replace(release.train, groups={"r": 1, "c": 4})
    assert check_counts(table, expected) == [
        f"{path}: 1 images, published 2",
        f"{path}: 3 annotations, published 1",
        f"{path}: 0 c, published 4",
    ]
    assert "3 annotations, published 1" in caplog.text


def test_missing_files_are_listed_together(release, tmp_path):
    train = {"annotations": tmp_path / "annotations/train.json", "images": tmp_path / "train2017"}
    val = {"annotations": tmp_path / "mine.json", "images": [tmp_path / "one", tmp_path / "two"]}
    lines = missing_files(train, val)
    assert len(lines) == 5
    assert lines[0].startswith(f"no file {train['annotations']} (from http://127.0.0.1")
    assert lines[1].startswith(f"no folder {train['images']} (from http://127.0.0.1")
    assert lines[2:] == [f"no file {val['annotations']}"] + [
        f"no folder {tmp_path / name}" for name in ("one", "two")
    ]
    with pytest.raises(MissingDataError) as caught:
        prepare(tmp_path, "mine", train, val)
    first, *listed, elsewhere, names, without = str(caught.value).splitlines()
    assert first == "the data set is not complete:"
    assert [line.removeprefix("  ") for line in listed] == lines
    assert "data.root=" in elsewhere
    assert "BACL_DATA" in elsewhere
    assert "data.train.annotations=" in names
    assert "datamodule.leave_out=" in without


def test_of_a_known_release_the_command_that_gets_it_is_told(release, tmp_path):
    split = {"annotations": tmp_path / "train.json", "images": tmp_path / "train2017"}
    with pytest.raises(MissingDataError) as caught:
        require_files(split, None, tmp_path, "tiny")
    assert f"python run.py job=prepare data=tiny data.root={tmp_path}" in str(caught.value)


def test_missing_images_are_counted_in_all_folders(tmp_path):
    names = ["train2017/a.jpg", "b.jpg", "COCO_val2014_000000000007.jpg", "sub/c.jpg", "d.jpg"]
    (tmp_path / "train.json").write_text(annotations(names))
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one / "a.jpg", two / "b.jpg", two / "000000000007.jpg", two / "sub" / "c.jpg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (line,) = missing_files({"annotations": tmp_path / "train.json", "images": [one, two]})
    assert line == f"1 of 5 images of {tmp_path / 'train.json'} are not in {one} or {two}: 'd.jpg'"
    split = {"annotations": tmp_path / "train.json", "images": [one, two]}
    assert missing_files(split, left_out={"d.jpg"}) == []
    (two / "d.jpg").touch()
    assert missing_files({"annotations": tmp_path / "train.json", "images": [one, two]}) == []


def test_builder_makes_the_files_first(tmp_path):
    split = {"annotations": tmp_path / "train.json", "images": tmp_path}

    def build():
        (tmp_path / "train.json").write_text(annotations(["a.jpg"]))
        (tmp_path / "a.jpg").touch()

    prepare(tmp_path, "made", split, builder=build)
    with pytest.raises(ValueError, match="made cannot be downloaded"):
        prepare(tmp_path, "made")


class Builder:
    """Makes train.json from a file of the release's archive."""

    def __init__(self, root):
        self.source, self.target = root / "annotations/source.json", root / "annotations/train.json"

    @property
    def sources(self):
        return [] if self.target.exists() else [self.source]

    def __call__(self):
        if not self.target.exists():
            self.target.write_bytes(self.source.read_bytes())


def test_what_a_builder_needs_is_downloaded_first(served, monkeypatch, tmp_path):
    files = [f"annotations/{name}.json" for name in ("captions", "source", "val")]
    served.files["/both.zip"] = zipped(**dict.fromkeys(files, annotations(["a.jpg"])))
    served.files["/images.zip"] = zipped(**{"images/a.jpg": ""})
    both = [
        Archive(f"{served.address}/both.zip", "annotations", f"annotations/{name}.json")
        for name in ("source", "val")
    ]
    images = Archive(f"{served.address}/images.zip", ".", "images")
    splits = [
        Split(f"annotations/{name}.json", "images", {"images": 1}) for name in ("train", "val")
    ]
    only(monkeypatch, Release(*splits, (*both, images)))
    root = tmp_path / "data"
    prepare(root, "tiny", builder=Builder(root))
    names = sorted(path.name for path in (root / "annotations").glob("*.json"))
    assert names == ["source.json", "train.json", "val.json"]
    assert len(served.ranges) == 2  # the archive with both files is fetched once
    assert list((root / "downloads").iterdir()) == []
    (root / "annotations/source.json").unlink()
    prepare(root, "tiny", builder=Builder(root))
    assert len(served.ranges) == 2


def test_images_are_found_under_each_of_their_names(tmp_path):
    assert candidate_names("COCO_val2014_000000000007.jpg")[1:] == ["000000000007.jpg"]
    assert candidate_names("train2017/000000000007.jpg")[1:] == ["000000000007.jpg"]
    assert candidate_names("a.jpg") == ["a.jpg"]
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "000000000007.jpg").touch()
    folders = [tmp_path / "absent", tmp_path / "val2017"]
    found = find_image(folders, "COCO_val2014_000000000007.jpg")
    assert found == folders[1] / "000000000007.jpg"
    with pytest.raises(FileNotFoundError, match=r"image 'no\.jpg' is in none of the image folders"):
        find_image(folders, "no.jpg")


@pytest.mark.parametrize(
    ("name", "statistics"),
    [
        ("lvis_v0.5", "lvis_v0.5_train_categories.json"),
        ("lvis_v1.0", "lvis_v1_train_categories.json"),
    ],
)
def test_known_counts_are_those_of_the_published_statistics(shared, name, statistics):
    categories = json.loads((shared / "data/lvis_stats" / statistics).read_text())
    train = RELEASES[name].train
    assert train.counts["categories"] == len(categories)
    assert train.counts["annotations"] == sum(c["instance_count"] for c in categories)
    groups = [c["frequency"] for c in categories]
    assert train.groups == {group: groups.count(group) for group in "rcf"}


@pytest.mark.parametrize("name", ["lvis_v0.5", "lvis_v1.0", "coco_lt"])
def test_configuration_and_release_name_the_same_places(name):
    from omegaconf import OmegaConf

    folder = Path(__file__).parents[2] / "conf" / "data"
    config = OmegaConf.create({"data": OmegaConf.load(folder / f"{name}.yaml")}).data
    assert config.name in RELEASES
    for key in ("train", "val"):
        split, paths = getattr(RELEASES[name], key), config[key]
        assert Path(paths.annotations) == Path(config.root) / split.annotations
        assert Path(paths.images) == Path(config.root) / split.images_folder
