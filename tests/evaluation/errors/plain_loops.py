"""The errors of detections in plain loops over dictionaries of the LVIS format: what must come out.

Kinds of detections, mending and parts as in Bolya et al. 2020 ("TIDE"), Sec. 2.2 and 2.3, image by
image; federated rules besides.
"""

import numpy as np


def iou(one, other, crowd=False):
    x, y, w, h = one
    u, v, p, q = other
    width, height = min(x + w, u + p) - max(x, u), min(y + h, v + q) - max(y, v)
    common = max(width, 0) * max(height, 0)
    union = w * h if crowd else w * h + p * q - common
    return common / union if common > 0 else 0.0


def limited(results, rules):
    """Of one image: those that count, best first."""
    ranked, counts, kept = sorted(results, key=lambda each: -each["score"]), {}, []
    for each in ranked:
        owner = each["category_id"] if rules.limit_per_category else None
        counts[owner] = counts.get(owner, 0) + 1
        exists = rules.without_area or each["bbox"][2] * each["bbox"][3] > 0
        if counts[owner] <= rules.max_detections and exists:
            kept.append(each)
    return kept


class Image:
    """One image, its objects by category, and its detections best first."""

    def __init__(self, image, annotations, results, rules):
        self.id = image["id"]
        own = [dict(each) for each in annotations if each["image_id"] == self.id]
        own = [each for each in own if rules.without_area or each["area"] > 0]
        self.objects = sorted(own, key=lambda each: each["category_id"])
        for each in self.objects:
            each["counts"] = not (each.get("ignore") or each.get("iscrowd"))
        self.federated = rules.federated
        self.known = {each["category_id"] for each in own} | set(image["neg_category_ids"])
        self.partial = set(image["not_exhaustive_category_ids"]) if rules.federated else set()
        self.all = limited([dict(each) for each in results if each["image_id"] == self.id], rules)
        self.judged = [each for each in self.all if self.evaluated(each["category_id"])]
        self.match()
        for each in self.judged:
            each["kind"], each["object"] = self.kind(each)

    def evaluated(self, category):
        return not self.federated or category in self.known

    @property
    def counting(self):
        return [each for each in self.objects if each["counts"]]

    def match(self):
        for each in self.objects:
            each["taken"] = False
        for found in self.judged:
            best = {}
            for thing in self.objects:
                if thing["category_id"] != found["category_id"] or thing["taken"]:
                    continue
                overlap = iou(found["bbox"], thing["bbox"], bool(thing.get("iscrowd")))
                kind = thing["counts"]
                if overlap >= 0.5 and overlap >= best.get(kind, (0, None))[0]:
                    best[kind] = (overlap, thing)
            _, thing = best.get(True) or best.get(False) or (0, None)
            if thing is not None and not thing.get("iscrowd"):
                thing["taken"] = True
            found["right"] = thing is not None and thing["counts"]
            blamed = thing is None and found["category_id"] not in self.partial
            found["wrong"] = blamed

    def kind(self, found):
        """Name of the kind, and the object that could be mended."""
        if found["right"]:
            return "right", None
        if not found["wrong"]:
            return "unjudged", None
        own = [(0.0, None)]
        other = [(0.0, None)]
        for thing in self.counting:
            same = thing["category_id"] == found["category_id"]
            (own if same else other).append((iou(found["bbox"], thing["bbox"]), thing))
        (own_iou, mine), (other_iou, theirs) = (
            max(each, key=lambda pair: pair[0]) for each in (own, other)
        )
        if 0.1 <= own_iou < 0.5:
            return "badly localised", mine
        if other_iou >= 0.5:
            return "wrong category", theirs
        if own_iou >= 0.5:
            return "duplicate", None
        return ("both" if other_iou >= 0.1 else "background"), None

    def fate(self, thing):
        """Name of the fate, what it is called, and whether something unjudged is above."""
        category, called, unjudged = thing["category_id"], None, False
        for found in self.all:
            if iou(found["bbox"], thing["bbox"]) < 0.5:
                continue
            label = found["category_id"]
            if not self.evaluated(label) or (label in self.partial and label != category):
                unjudged = True
                continue
            called = label
            break
        if called is not None:
            return "right" if called == category else "wrong category", called, unjudged
        beside = any(
            0.1 <= iou(found["bbox"], thing["bbox"]) < 0.5
            for found in self.all
            if found["category_id"] == category
        )
        return "badly localised" if beside else "missed", None, unjudged


def images(annotations, results, rules):
    records = sorted(annotations["images"], key=lambda each: each["id"])
    return [Image(each, annotations["annotations"], results, rules) for each in records]


def average_precision(ranked, objects):
    """Of one category: ranked (right, wrong); 101 recalls; 0 without objects."""
    if not objects:
        return 0.0
    best, right, wrong = np.zeros(101), 0, 0
    for is_right, is_wrong in ranked:
        right, wrong = right + is_right, wrong + is_wrong
        if right:
            reached = np.linspace(0, 1, 101) <= right / objects
            best[reached] = np.maximum(best[reached], right / (right + wrong))
    return float(best.mean())


def parts(found, categories):
    """{part: {category: AP}}, "" as it is, of categories with objects."""
    rows = [each for category in categories for image in found for each in image.judged
            if each["category_id"] == category]  # fmt: skip
    things = [each for image in found for each in image.counting]
    objects = {own: sum(each["category_id"] == own for each in things) for own in categories}
    for thing in things:
        claims = [each for each in rows if each["object"] is thing]
        thing["claimed"] = bool(claims)
        best = None
        for each in claims if not thing["taken"] else []:
            if best is None or each["score"] > best["score"]:
                best = each
        thing["best"] = best

    def mended(kind):
        changed = []
        for each in rows:
            own = each["category_id"]
            if kind == "false positives":
                if not each["wrong"]:
                    changed.append((own, each["score"], each["right"], False))
            elif each["kind"] != kind:
                changed.append((own, each["score"], each["right"], each["wrong"]))
            elif each["object"] is not None and each["object"]["best"] is each:
                changed.append((each["object"]["category_id"], each["score"], True, False))
        return changed

    def left(kind):
        gone = {
            "missed": lambda thing: not thing["taken"] and not thing["claimed"],
            "false negatives": lambda thing: not thing["taken"],
        }.get(kind, lambda thing: False)
        return {
            own: objects[own] - sum(gone(t) for t in things if t["category_id"] == own)
            for own in categories
        }

    kinds = ["", "badly localised", "wrong category", "duplicate", "both", "background"]
    result = {}
    for kind in [*kinds, "missed", "false positives", "false negatives"]:
        ranked, number = mended(kind), left(kind)
        result[kind] = {}
        for own in categories:
            if objects[own]:
                order = sorted((r for r in ranked if r[0] == own), key=lambda r: -r[1])
                verdicts = [(right, wrong) for _, _, right, wrong in order]
                result[kind][own] = average_precision(verdicts, number[own])
    return result
