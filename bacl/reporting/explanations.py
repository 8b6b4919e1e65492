"""What the measures of a run can see and what they cannot, in a sentence or two each."""

from collections.abc import Sequence

AP = (
    "AP ranks the detections of a category among each other. It does not see which category wins "
    "over an object: a shift of all scores of a category leaves AP alone, unless the limit of "
    "detections an image bites."
)
FITTING = (
    "{title}: the best {limit} detections of an image count, for the number of categories what "
    "LVIS's 300 are for 1,203, at least 3. Categories compete for these places: it sees when one "
    "is crowded out, but not which label an object gets."
)
RIGHT_LABEL = (
    "right label: of the annotated objects, those over which the best detection of any category "
    "(IoU at least 0.5) has the object's category. It compares categories with each other. It sees "
    "neither detections below the best one nor those beside all objects."
)
ERROR = (
    "± is one standard error of the difference, by bootstrap over images; ≈ says that the "
    "difference is less than two."
)
POOL = (
    "AP_pool: AP with the detections of all categories in one ranking. It sees scores that are too "
    "high or too low for their category; frequent categories have most of the say."
)


BOUNDARY = (
    "AP_boundary (Cheng et al. 2021): AP of masks with the lower of mask IoU and boundary IoU, "
    "that of the pixels within 2 % of the image's diagonal from the outlines."
)
FIXED = (
    "AP_fixed (Dave et al. 2021): the best 10,000 detections of each category count, of all images "
    "together and with no limit of an image but the detector's own "
    "(`detector.postprocess.max_detections`). The published protocol keeps far more than 300 of an "
    "image, and weaker ones: `job=test detector.postprocess.max_detections=1000 "
    "detector.postprocess.score_threshold=0`."
)


def explanations(titles: Sequence[str], several: bool) -> list[str]:
    """Of those of these measures that need one.

    Args:
        titles: of the measures of all categories.
        several: whether heads are compared.
    """
    label = f"{RIGHT_LABEL} {ERROR}" if several else RIGHT_LABEL
    told = {
        "AP": AP,
        "AP_pool": POOL,
        "AP_fixed": FIXED,
        "AP_boundary": BOUNDARY,
        "right label": label,
    }
    found = []
    for title in titles:
        if title.startswith("AP@"):
            found.append(FITTING.format(title=title, limit=title.removeprefix("AP@")))
        elif title in told:
            found.append(told[title])
    return found
