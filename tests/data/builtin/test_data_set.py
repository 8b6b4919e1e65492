import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as coco_mask

from bacl.command.check import check_command
from bacl.data.builtin import files as builtin_files
from bacl.data.builtin.data_set import build
from bacl.data.builtin.glyphs import FAMILIES, STYLES, _glyph, capacity, glyphs
from bacl.data.builtin.scenes import PlacedGlyph, SceneRules, _ink, compose

CONFIGURATION = Path(__file__).parents[3] / "conf/data/builtin.yaml"
SMALL = {
    "num_categories": 30,
    "num_train": 30,
    "num_val": 10,
    "image_size": 96,
    "objects_per_image": (4, 6),
    "seed": 3,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    paths = build(tmp_path_factory.mktemp("small") / "set", **SMALL)
    return paths, json.loads(paths.train_annotations.read_text())


def everything(root):
    return {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def decoded(segmentation, size):
    runs = coco_mask.frPyObjects(segmentation, size, size)
    return coco_mask.decode(coco_mask.merge(runs)).astype(bool)


def upright(glyph, size=40):
    placed = PlacedGlyph(0, glyph, (glyph.points * size + size / 2 + 1).round(2), size)
    return placed, decoded(placed.segmentation(), size + 2)


# --- glyphs ---


def test_catalogue_puts_heads_first_then_their_look_alikes():
    names = [glyph.name for glyph in glyphs(70)]
    assert names[:3] == ["capital_o", "capital_e", "capital_p"]
    assert names[24:26] == ["capital_q", "capital_e_dot_above"]
    assert names[49] == "capital_f"
    assert len({glyph.name for glyph in glyphs(1200)}) == 1200
    with pytest.raises(ValueError, match=str(capacity())):
        glyphs(capacity() + 1)


def test_more_categories_than_glyphs_are_refused_before_any_work():
    with pytest.raises(SystemExit, match="at most 7,900"):
        check_command([f"data.builder.num_categories={capacity() + 1}"])


@pytest.mark.parametrize("style", STYLES)
def test_outlines_are_what_the_font_draws(style):
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{STYLES[style]}", 400)
    for letter in "".join(FAMILIES):
        picture = Image.new("L", (800, 800))
        ImageDraw.Draw(picture).text((150, 50), letter, font=font, fill=255)
        picture = picture.crop(picture.getbbox())
        glyph = _glyph(style, letter, "", "")
        corners = (glyph.points - glyph.points.min(axis=0)) * max(picture.size)
        placed = PlacedGlyph(0, glyph, corners, max(picture.size))
        drawn, polygons = np.asarray(picture) > 127, decoded(placed.segmentation(), 600)
        polygons = polygons[: drawn.shape[0], : drawn.shape[1]]
        assert (drawn & polygons).sum() / (drawn | polygons).sum() > 0.93, letter
        assert placed.area == pytest.approx(polygons.sum(), rel=0.03), letter


def test_drawing_and_segmentation_agree_with_holes_and_marks():
    for glyph in (*glyphs(70), _glyph("italic", "@", "dots", "triangle")):
        placed, polygons = upright(glyph, 120)
        ink, (left, top) = _ink(placed)
        drawn = np.zeros_like(polygons)
        drawn[top : top + ink.height, left : left + ink.width] = np.asarray(ink) > 127
        assert (drawn & polygons).sum() / (drawn | polygons).sum() > 0.93, glyph.name
    _, o = upright(glyphs(1)[0])
    assert not o[21, 21]  # the hole
    assert o[21, 4]


def test_no_two_glyphs_look_the_same():
    bitmaps = np.array([upright(glyph)[1].ravel() for glyph in glyphs(1200)], np.float32)
    shared_ink = bitmaps @ bitmaps.T
    own = bitmaps.sum(axis=1)
    overlap = shared_ink / (own[:, None] + own[None] - shared_ink)
    np.fill_diagonal(overlap, 0)
    assert overlap.max() < 0.97


# --- scenes ---


def test_scene_holds_what_it_must_inside_the_image_and_apart():
    rules = SceneRules(160, (8, 12), (18, 44), 20, 0.05)
    present = np.array([5, 0, 9])
    crowded = 0
    for seed in range(20):
        scene = compose(rules, glyphs(10), present, np.random.default_rng(seed))
        assert 8 <= len(scene) <= 12
        assert {placed.label for placed in scene} == {0, 5, 9}
        boxes = np.array([placed.box for placed in scene])
        assert boxes.min() >= 0.99
        assert boxes.max() <= 159.01
        for i, j in zip(*np.triu_indices(len(boxes), 1), strict=True):
            sides = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
            smaller = min((b[2:] - b[:2]).prod() for b in (boxes[i], boxes[j]))
            crowded += sides.clip(min=0).prod() > 0.06 * smaller
    assert crowded <= 2  # of about 900 pairs: where there was no room


def test_scene_without_categories_is_empty_and_a_full_one_has_one_object_each():
    rules = SceneRules(64, (2, 3), (10, 30), 20, 0.05)
    assert compose(rules, glyphs(10), np.array([], int), np.random.default_rng(0)) == []
    scene = compose(rules, glyphs(10), np.arange(10), np.random.default_rng(0))
    assert sorted(placed.label for placed in scene) == list(range(10))


# --- files ---


def test_boxes_and_areas_are_those_of_the_decoded_polygons(small):
    _, data = small
    for annotation in data["annotations"]:
        mask = decoded(annotation["segmentation"], 96)
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.subtract(found, [x, y, x + width, y + height])).max() <= 1.5
        assert annotation["area"] == pytest.approx(mask.sum(), rel=0.25, abs=10)


def test_annotated_boxes_are_tight_on_the_ink(small):
    paths, data = small
    names = {image["id"]: image["file_name"] for image in data["images"]}
    for annotation in data["annotations"][:60]:
        pixels = np.asarray(Image.open(paths.train_images / names[annotation["image_id"]]))
        x, y, width, height = annotation["bbox"]
        inside = pixels[round(y) : round(y + height), round(x) : round(x + width)].min(axis=2)
        dark = inside < 150
        assert dark[:2].any()
        assert dark[-2:].any()
        assert dark[:, :2].any()
        assert dark[:, -2:].any()


def test_counts_ids_and_federated_lists(small):
    paths, data = small
    val = json.loads(paths.val_annotations.read_text())
    schedule = {"train": data, "val": val}
    assert [c["id"] for c in data["categories"]] == list(range(1, 31))
    assert [c["frequency"] for c in val["categories"]] == [
        c["frequency"] for c in data["categories"]
    ]
    for part in schedule.values():
        present = {image["id"]: set() for image in part["images"]}
        for annotation in part["annotations"]:
            present[annotation["image_id"]].add(annotation["category_id"])
        for category in part["categories"]:
            images = sum(category["id"] in labels for labels in present.values())
            instances = sum(a["category_id"] == category["id"] for a in part["annotations"])
            assert (category["image_count"], category["instance_count"]) == (images, instances)
        for image in part["images"]:
            assert len(set(image["neg_category_ids"])) == 10
            assert not present[image["id"]] & set(image["neg_category_ids"])
            assert set(image["not_exhaustive_category_ids"]) <= present[image["id"]]
    assert not {i["id"] for i in data["images"]} & {i["id"] for i in val["images"]}
    assert [a["id"] for a in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))


def test_category_listed_as_not_exhaustive_lacks_one_annotation(tmp_path):
    full, lacking = (
        json.loads(
            build(
                tmp_path / str(rate), **SMALL, not_exhaustive_rate=rate, annotations_only=True
            ).train_annotations.read_text()
        )
        for rate in (0, 1)
    )
    listed = sum(len(image["not_exhaustive_category_ids"]) for image in lacking["images"])
    assert listed > 10
    assert len(full["annotations"]) - len(lacking["annotations"]) == listed


def test_official_lvis_package_reads_it(small):
    lvis = pytest.importorskip("lvis")
    paths, data = small
    api = lvis.LVIS(str(paths.train_annotations))
    assert len(api.get_ann_ids()) == len(data["annotations"])
    first = data["annotations"][0]
    assert api.ann_to_mask(first).sum() == pytest.approx(first["area"], rel=0.25, abs=10)


def test_same_parameters_give_the_same_bytes_for_any_number_of_processes(small, tmp_path):
    paths, _ = small
    build(tmp_path / "again", **SMALL, processes=2)
    assert everything(tmp_path / "again") == everything(paths.train_annotations.parent)


def test_scene_depends_on_its_index_and_categories_alone(small, monkeypatch, tmp_path):
    paths, data = small
    recipe = builtin_files.Recipe(
        num_categories=30,
        num_train=10**6,
        num_val=1,
        seed=3,
        rules=SceneRules(96, (4, 6), (18, 44), 20, 0.05),
        negatives_per_image=10,
        not_exhaustive_rate=0.1,
        annotations_only=False,
    )
    mine = [a for a in data["annotations"] if a["image_id"] == 8]
    present = np.array(sorted({a["category_id"] - 1 for a in mine}))
    image, annotations = builtin_files._scene(tmp_path, recipe, 0, (7, present))
    assert image == data["images"][7]
    assert annotations == [{k: v for k, v in a.items() if k != "id"} for a in mine]
    name = image["file_name"]
    assert (tmp_path / name).read_bytes() == (paths.train_images / name).read_bytes()


def test_annotations_only_gives_the_same_annotations(small, tmp_path):
    _, data = small
    paths = build(tmp_path / "tables", **SMALL, annotations_only=True)
    bare = json.loads(paths.train_annotations.read_text())
    assert bare["annotations"] == data["annotations"]
    assert not any(paths.train_images.iterdir())


def test_other_seed_gives_other_scenes(small, tmp_path):
    _, data = small
    paths = build(tmp_path / "other", **{**SMALL, "seed": 4}, annotations_only=True)
    assert json.loads(paths.train_annotations.read_text())["annotations"] != data["annotations"]


def test_finished_set_is_reused_and_others_are_refused(tmp_path):
    root = tmp_path / "set"
    paths = build(root, **SMALL, annotations_only=True)
    stamp = paths.train_annotations.stat().st_mtime_ns
    build(root, **SMALL, annotations_only=True)
    assert paths.train_annotations.stat().st_mtime_ns == stamp
    with pytest.raises(FileExistsError, match="seed is 3 there, 5 was asked for"):
        build(root, **{**SMALL, "seed": 5}, annotations_only=True)
    (root / "DONE").unlink()
    with pytest.raises(FileExistsError, match="other files"):
        build(root, **SMALL, annotations_only=True)


def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(builtin_files, "_annotation", broken)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "set", **SMALL)
    assert not any(tmp_path.iterdir())


def test_processes_that_build_the_same_set_at_once_agree(tmp_path):
    both = partial(build, **SMALL, annotations_only=True)
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        first, second = pool.map(both, [tmp_path / "set"] * 2)
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_categories": 10**5, "num_train": 10**5}, "draws 1 to"),
        ({"object_size": (18, 60)}, "object_size"),
        ({"num_train": 2}, "num_train=2"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "set", **{**SMALL, **change})
    assert not any(tmp_path.iterdir())


def test_many_categories_in_tiny_images(tmp_path):
    paths = build(tmp_path / "many", 1200, 260, 20, 48, (6, 8), 0, object_size=(6, 12))
    data = json.loads(paths.train_annotations.read_text())
    assert {a["category_id"] for a in data["annotations"]} == set(range(1, 1201))
    assert Image.open(paths.train_images / "00000260.jpg").size == (48, 48)


def test_configuration_builds_the_default_set(tmp_path):
    conf = OmegaConf.create({"data": OmegaConf.load(CONFIGURATION)})
    conf.data.root = str(tmp_path / "set")
    paths = instantiate(conf.data.builder)(annotations_only=True)
    assert str(paths.train_annotations) == conf.data.train.annotations
    assert str(paths.val_images) == conf.data.val.images
    groups = [c["frequency"] for c in json.loads(paths.train_annotations.read_text())["categories"]]
    assert len(groups) == conf.data.builder.num_categories
    assert [groups.count(group) for group in "rcf"] == [26, 26, 18]
    val = json.loads(paths.val_annotations.read_text())["categories"]
    assert min(category["instance_count"] for category in val) >= 8
