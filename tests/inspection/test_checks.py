"""Each kind of fault, planted once, is found, and nothing else is."""

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bacl.data.augmentation.frames import Frames
from bacl.evaluation.rules import Rules
from bacl.evaluation.truth import GroundTruth
from bacl.inspection.checks import CHECKS, findings
from bacl.inspection.finding import Fault, Severity

OF_VIEWS = {"small_in_network", "cut_by_canvas", "unreached_by_anchors"}


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def stored_as(files, orientation: int) -> None:
    path = files.path(files.train, 3)
    Image.open(path).save(path.with_suffix(".jpg"), exif=exif(orientation), quality=95)
    files.train["images"][3]["file_name"] = "4.jpg"


def missing(files):
    files.path(files.train, 3).unlink()


def unreadable(files):
    content = files.path(files.train, 3).read_bytes()
    files.path(files.train, 3).write_bytes(content[: len(content) // 2])


def other_size(files):
    files.train["images"][3]["width"] += 1


def same_in_both(files):
    shutil.copy(files.path(files.train, 3), files.path(files.val, 2))


def same_twice(files):
    """With its annotations: it is told as one picture, not as one set of annotations."""
    shutil.copy(files.path(files.train, 3), files.path(files.train, 4))
    own = [each for each in files.train["annotations"] if each["image_id"] == 5]
    for record, other in zip(own, files.train["annotations"][9:12], strict=True):
        record |= {"bbox": other["bbox"], "segmentation": other["segmentation"]}


def similar(files, split, place):
    smaller = Image.open(files.path(files.train, 3)).resize((72, 60))
    larger = smaller.resize((96, 80), Image.Resampling.BICUBIC)
    path = files.path(split, place).with_suffix(".jpg")
    larger.save(path, quality=70)
    split["images"][place]["file_name"] = path.name


def absent(files):
    files.val["images"][2]["neg_category_ids"] = [1]


def category(files, identifier, *splits):
    for split in (files.train, files.val):
        split["categories"].append({"id": identifier, "name": f"kind {identifier}"})
    for split in splits:
        files.annotate(split, 2, [40.0, 40.0, 30.0, 30.0], identifier)


def lost(files):
    category(files, 7)
    files.add(files.train, 50, (30, 40), [[2, 2, 20, 22, 7], [5, 10, 20, 22, 1]])


def groups(files):
    for record in files.train["categories"]:
        record["frequency"] = "f"


def ignored_alone(files):
    files.add(files.train, 50, boxes=[])
    files.annotate(files.train, 11, [10.0, 10.0, 40.0, 40.0], 1, ignore=1)


def left_out(files):
    files.leave_out = frozenset({"4.png"})


def odd(files, box, category=1, **more):
    files.annotate(files.train, 2, box, category, **more)


def twice(files, category):
    record = files.train["annotations"][3]
    x, y, width, height = record["bbox"]
    odd(files, [x + 0.2, y, width, height], category)


def copied(files):
    own = [each for each in files.train["annotations"] if each["image_id"] == 5]
    for record, other in zip(own, reversed(files.train["annotations"][9:12]), strict=True):
        for key in ("bbox", "category_id", "segmentation", "area"):
            record[key] = other[key]


def grey(files):
    Image.open(files.path(files.train, 3)).convert("L").save(files.path(files.train, 3))


def blank(files):
    Image.new("RGB", (96, 80), (200, 40, 40)).save(files.path(files.train, 3))


def animated(files):
    path = files.path(files.train, 3)
    frames = [Image.open(path), Image.open(files.path(files.val, 0)).rotate(180)]
    frames[0].save(path.with_suffix(".gif"), save_all=True, append_images=frames[1:])
    files.train["images"][3]["file_name"] = "4.gif"


def crowded(files):
    boxes = [[4.0 * x, 4.0 * y, 20.0, 22.0, 1] for x in range(17) for y in range(9)]
    files.add(files.train, 50, boxes=boxes)


def rectangle(files, masks):
    files.masks, files.pastes = masks, not masks
    x, y, width, height = files.train["annotations"][0]["bbox"]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    files.train["annotations"][0]["segmentation"] = [corners]


PLANTED = {
    "missing_pictures": missing,
    "unreadable_pictures": unreadable,
    "other_size": other_size,
    "same_picture_in_both": same_in_both,
    "same_picture_twice": same_twice,
    "similar_picture_in_both": lambda files: similar(files, files.val, 2),
    "similar_picture_twice": lambda files: similar(files, files.train, 4),
    "absent_yet_annotated": absent,
    "unused_root": lambda files: category(files, 0),
    "unused_categories": lambda files: category(files, 7),
    "not_in_training": lambda files: category(files, 7, files.val),
    "lost_categories small_pictures": lost,
    "never_judged": lambda files: category(files, 7, files.train),
    "nothing_judged": lambda files: files.val["annotations"].clear(),
    "other_groups": groups,
    "pictures_without_annotations": lambda files: files.add(files.train, 50, boxes=[]),
    "ignored pictures_without_objects": ignored_alone,
    "left_out_by_name": left_out,
    "crowd": lambda files: odd(files, [10.0, 10.0, 50.0, 50.0], iscrowd=1),
    "degenerate_boxes": lambda files: odd(files, [10.0, 10.0, 50.0, 0.5]),
    "outside_boxes": lambda files: odd(files, [200.0, 10.0, 30.0, 30.0]),
    "boxes_beyond_the_edge": lambda files: odd(files, [70.0, 40.0, 30.0, 30.0]),
    "object_twice": lambda files: twice(files, 1),
    "two_labels": lambda files: twice(files, 2),
    "same_annotations": copied,
    "whole_picture": lambda files: odd(files, [0.0, 0.0, 96.0, 80.0]),
    "long_boxes": lambda files: odd(files, [4.0, 10.0, 84.0, 3.0]),
    "tiny_objects": lambda files: odd(files, [40.0, 40.0, 3.0, 3.0]),
    "undecided_orientation": lambda files: stored_as(files, 3),
    "stored_orientation": lambda files: stored_as(files, 6),
    "grey_pictures": grey,
    "blank_pictures": blank,
    "deep_or_animated_pictures": animated,
    "long_pictures": lambda files: files.add(files.train, 50, (330, 80)),
    "crowded_pictures": crowded,
    "masks_are_boxes": lambda files: rectangle(files, masks=True),
    "boxes_are_pasted": lambda files: rectangle(files, masks=False),
}


def test_nothing_is_found_in_clean_data(files):
    assert findings(files.inspected()) == []


@pytest.mark.parametrize("kinds", PLANTED)
def test_what_is_planted_is_found_once_and_nothing_else(files, kinds):
    PLANTED[kinds](files)
    found = findings(files.inspected())
    assert sorted(finding.fault.kind for finding in found) == kinds.split()
    for finding in found:
        assert finding.count == 1 or kinds in ("nothing_judged", "other_groups")
        assert finding.places or finding.names
        assert finding.told.startswith(f"{finding.count:,} of ")


def test_every_fault_of_every_check_is_planted():
    modules = {import_module(check.__module__) for check in CHECKS}
    values = [value for module in modules for value in vars(module).values()]
    values += [each for value in values if isinstance(value, dict) for each in value.values()]
    faults = [value for value in values if isinstance(value, Fault)]
    planted = {kind for kinds in PLANTED for kind in kinds.split()}
    assert {fault.kind for fault in faults} == planted | OF_VIEWS
    assert len({fault.kind for fault in faults}) == len(set(faults))


def test_every_kind_is_in_the_documents():
    told = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
    kinds = {kind for kinds in PLANTED for kind in kinds.split()} | OF_VIEWS
    assert {kind for kind in kinds if f"`{kind}`" not in told} == set()


def test_several_faults_are_all_found_the_gravest_first(files):
    several = ("missing_pictures", "two_labels", "same_picture_in_both", "tiny_objects")
    files.add(files.train, 60)
    for kinds in several[1:]:
        PLANTED[kinds](files)
    files.path(files.train, 6).unlink()
    found = findings(files.inspected())
    assert {finding.fault.kind for finding in found} == set(several)
    severities = [finding.fault.severity for finding in found]
    assert severities == [Severity.ERROR] * 2 + [Severity.WARNING, Severity.NOTE]


def test_a_finding_names_picture_and_annotation(files):
    twice(files, 2)
    (finding,) = findings(files.inspected())
    ((place,),) = finding.places
    assert (place.split, place.image_id, place.file_name) == ("train", 2, "2.png")
    assert set(place.annotation_ids) == {4, len(files.train["annotations"])}
    assert place.detail in ("kind 1 and kind 2", "kind 2 and kind 1")


def test_a_leak_names_both_pictures(files):
    same_in_both(files)
    (finding,) = findings(files.inspected())
    assert finding.split == "both"
    (pair,) = finding.places
    assert [(place.split, place.file_name) for place in pair] == [
        ("train", "4.png"),
        ("val", "3.png"),
    ]


def test_names_that_a_shell_would_take_apart_are_quoted_in_the_mend(files):
    missing(files)
    files.train["images"][3]["file_name"] = "a cat's.png"
    (finding,) = findings(files.inspected())
    assert finding.fault.mend.endswith("""datamodule.leave_out='["a cat'\\''s.png"]'""")


def test_without_pictures_annotations_are_checked_alone(files):
    same_in_both(files)
    twice(files, 2)
    data = files.inspected()
    blind = replace(
        data, train=replace(data.train, pictures=None), val=replace(data.val, pictures=None)
    )
    assert [finding.fault.kind for finding in findings(blind)] == ["two_labels"]


def test_a_small_scale_is_told(files):
    data = files.inspected()
    frames = data.views[0].frames
    quarter = Frames(frames.scale / 4, frames.offset, frames.size // 4)
    found = findings(replace(data, views=[data.train.view("stage", quarter)]))
    kinds = {finding.fault.kind: finding.fault.severity for finding in found}
    assert kinds == {"small_in_network": Severity.WARNING, "unreached_by_anchors": Severity.WARNING}
    assert all("(stage)" in finding.fault.what for finding in found)


def test_a_crop_is_told(files):
    data = files.inspected()
    frames = data.views[0].frames
    half = Frames(frames.scale, frames.offset, np.array([48, 80]) + 0 * frames.size)
    found = findings(replace(data, views=[data.train.view("stage", half)]))
    assert "cut_by_canvas" in {finding.fault.kind for finding in found}


@pytest.mark.parametrize("box", [[10.0, 10.0, 50.0, 0.5], [200.0, 10.0, 30.0, 30.0]])
@pytest.mark.parametrize("rules", [Rules(300, False, True, False), Rules(100, True, False, True)])
def test_odd_boxes_are_looked_for_as_it_is_told(files, box, rules):
    before = len(GroundTruth.from_table(files.inspected().val.table, rules).boxes)
    files.annotate(files.val, 1, box, 1)
    inspected = files.inspected()
    (finding,) = (each for each in findings(inspected) if each.split == "val")
    assert "not trained on, but evaluations look for them" in finding.fault.follows
    assert len(GroundTruth.from_table(inspected.val.table, rules).boxes) == before + 1


def test_nothing_outside_of_the_image_folder_is_opened(files, tmp_path):
    target = tmp_path / "elsewhere.png"
    path: Path = files.path(files.train, 3)
    path.rename(target)
    path.symlink_to(target)
    (finding,) = findings(files.inspected())
    assert finding.fault.kind == "missing_pictures"
    assert "a link leads out" in finding.places[0][0].detail
