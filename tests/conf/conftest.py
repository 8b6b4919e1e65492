import pytest

from bacl.data.builtin.data_set import build


@pytest.fixture(scope="session")
def counts_file(tmp_path_factory):
    """Annotations of 12 categories in LVIS's format, without pictures."""
    paths = build(
        tmp_path_factory.mktemp("counts") / "builtin", num_categories=12, num_train=16, num_val=6,
        image_size=96, objects_per_image=(4, 6), object_size=(16, 30), annotations_only=True,
        seed=0,
    )  # fmt: skip
    return paths.train_annotations
