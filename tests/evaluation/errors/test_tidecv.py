"""TIDE's parts equal those of its published code (tidecv 1.0.1), on exhaustive annotations.

tidecv knows no federated rules, counts categories without objects as 0, and breaks ties in another
order: these data have neither. It is no dependency of ours: `pip install tidecv`.
"""

import numpy as np
import pytest

from bacl.evaluation.errors.error_parts import FALSE_NEGATIVES, FALSE_POSITIVES, MISSED
from bacl.evaluation.rules import Rules

COCO = Rules(100, limit_per_category=True, federated=False, without_area=True)
CATEGORIES, IMAGES = 4, 30
NAMES = {
    "Cls": "wrong category", "Loc": "badly localised", "Both": "both", "Dupe": "duplicate",
    "Bkg": "background", "Miss": MISSED, "FalsePos": FALSE_POSITIVES, "FalseNeg": FALSE_NEGATIVES,
}  # fmt: skip


def box(draw) -> np.ndarray:
    return np.concatenate([draw.uniform(0, 140, 2), draw.uniform(20, 60, 2)])


def scenes(seed: int) -> tuple[dict, list]:
    """Objects, of which each is found up to three times, near or not so near, and backgrounds."""
    draw = np.random.default_rng(seed)
    annotations, results = [], []

    def find(image_id, category_id, place):
        record = {"image_id": image_id, "category_id": category_id, "score": draw.random()}
        results.append({**record, "bbox": place.tolist()})

    for image_id in range(1, IMAGES + 1):
        for _ in range(5):
            place, category_id = box(draw), int(draw.integers(1, CATEGORIES + 1))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image_id, "category_id": category_id,
                 "bbox": place.tolist(), "area": float(place[2] * place[3]), "iscrowd": 0}
            )  # fmt: skip
            for _ in range(int(draw.integers(0, 4))):
                shift = draw.normal(0, draw.choice([2, 8, 20]), 2)
                moved = place + np.concatenate([shift, [0, 0]])
                other = int(draw.integers(1, CATEGORIES + 1))
                find(image_id, category_id if draw.random() < 0.6 else other, moved)
        for _ in range(3):
            find(image_id, int(draw.integers(1, CATEGORIES + 1)), box(draw))
    images = [
        {"id": each, "file_name": f"{each}.jpg", "height": 200, "width": 200}
        for each in range(1, IMAGES + 1)
    ]
    categories = [{"id": each, "name": f"kind {each}"} for each in range(1, CATEGORIES + 1)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def published(annotations: dict, results: list) -> dict[str, float]:
    """AP50 and the parts in percent."""
    tidecv = pytest.importorskip("tidecv")
    truth, found = tidecv.Data("truth", 100), tidecv.Data("found", 100)
    for data in (truth, found):
        for image in annotations["images"]:
            data.add_image(image["id"], image["file_name"])
        for category in annotations["categories"]:
            data.add_class(category["id"], category["name"])
    for each in annotations["annotations"]:
        truth.add_ground_truth(each["image_id"], each["category_id"], each["bbox"])
    for each in results:
        found.add_detection(each["image_id"], each["category_id"], each["score"], each["bbox"])
    tide = tidecv.TIDE()
    run = tide.evaluate(truth, found, mode=tidecv.TIDE.BOX)
    errors = tide.get_all_errors()
    return {"AP50": run.ap, **errors["main"]["found"], **errors["special"]["found"]}


@pytest.mark.parametrize("seed", range(8))
def test_parts_equal_those_of_the_published_code(errors_of, seed):
    annotations, results = scenes(seed)
    expected = published(annotations, results)
    parts = errors_of(annotations, results, COCO, threshold=0.0)[0].parts
    assert 100 * parts.mean() == pytest.approx(expected.pop("AP50"), abs=1e-9)
    found = {key: 100 * parts.cost(NAMES[key]) for key in expected}
    # A recall that lies on one of the 101 steps rounds to it or to the next.
    assert found == pytest.approx(expected, abs=0.02)
    assert sum(abs(found[key] - expected[key]) > 1e-9 for key in found) <= 1
