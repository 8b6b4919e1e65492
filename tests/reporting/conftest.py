"""What the tests of figures look at."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread


@pytest.fixture
def pixels():
    """How many pixels of a PNG have a colour."""

    def count(path, colour):
        image = imread(path)[..., :3]
        return int((np.abs(image - to_rgb(colour)).max(axis=-1) < 0.02).sum())

    return count
