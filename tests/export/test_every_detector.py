"""Every detector of conf/detector as a file, by the comparison of benchmarks/exports.py."""

from pathlib import Path

import exports
import pytest

FORMATS = ("safetensors", "torch", "onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return exports.prepared(tmp_path_factory.mktemp("pictures"), None)


@pytest.mark.slow
@pytest.mark.parametrize("detector", exports.DETECTORS)
def test_files_of_a_detector_find_what_it_finds(detector, pictures):
    """What the tolerances of an export do not let pass is an error, and no figures."""
    rows = list(exports.rows(detector, pictures, set(FORMATS), fixed=True))
    assert [row[1] for row in rows] == list(FORMATS)
    for name, kind, _, matched, *figures in rows:
        assert all(figures), f"{name}, {kind}: {matched}"
        assert int(matched.partition(" ")[0]) >= 50, f"{name}, {kind}: {matched}"


@pytest.mark.slow
def test_a_swin_of_any_size_finds_what_it_finds(pictures):
    (row,) = exports.rows("faster_rcnn_swin_t", pictures, {"onnx"}, fixed=False)
    _, _, size, matched, *figures = row
    assert size == "any"
    assert all(figures), matched


def test_only_what_sees_no_pictures_is_left_out():
    every = {path.stem for path in (exports.CONF / "detector").glob("*.yaml")}
    assert every - set(exports.DETECTORS) == {"dumped"}
