"""Cuts the part of the recorded numbers that lies in the repository.

Run where all of them lie beside the checkout: python -m tests.published.cut
"""

import json
import shutil

import numpy as np

from tests.published.recorded import KINDS, PART, WHOLE

DETECTIONS = tuple(
    f"{kind}_thr0.0001_rescale{image}_img{image}_{part}"
    for kind in KINDS
    for image in (0, 1)
    for part in ("bboxes", "labels")
)
"""One image in each frame."""
KEPT: dict[str, tuple[str, ...]] = {
    "e_box_coder": ("",),
    "e_nms": ("small_",),
    "e_backbone_rpn": ("featmap", "base_anchors", "anchors", "n_anchors", "train2000_proposals"),
    "e_detections_C30": DETECTIONS,
    "e_train_classifier_C30": ("",),
}
"""Beginnings of the names that are kept, by file."""


def main() -> None:
    """Write the part."""
    PART.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(WHOLE / "recipe.py", PART / "recipe.py")
    keys = json.loads((WHOLE / "a_state_dict_keys_r50.json").read_text())
    (PART / "a_state_dict_keys_r50.json").write_text(json.dumps(keys, separators=(",", ":")))
    for name, beginnings in KEPT.items():
        with np.load(WHOLE / f"{name}.npz") as whole:
            kept = {key: whole[key] for key in whole.files if key.startswith(beginnings)}
        np.savez_compressed(PART / f"{name}.npz", **kept)


if __name__ == "__main__":
    main()
