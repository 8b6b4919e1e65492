import ast

import numpy as np
import pytest
from PIL import Image
from torchvision.io import decode_image

from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.export.notes import preprocessing
from bacl.export.snippets import RUNTIMES, snippet


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("size", [None, [96, 128]])
@pytest.mark.parametrize("resize", [None, {"antialias": True}, {"antialias": False}])
@pytest.mark.parametrize("masks", [None, 0.5])
def test_a_printed_program_is_one_and_names_what_it_uses(tmp_path, name, size, resize, masks):
    """Most of them run in tests/jobs/test_export.py; here every form is read."""
    preprocessing = {"size": size, "resize": resize}
    notes = {"preprocessing": preprocessing, "postprocessing": {"mask_threshold": masks}}
    text = snippet(name, tmp_path / 'a "quoted" name', notes, None)
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "pixels" in names
    assert ("masks" in names) == (masks is not None)
    assert ("resize" in names) == (resize is not None)
    assert ("fit" in names) == (size is not None)
    assert max(map(len, text.splitlines())) <= 100 + len(str(tmp_path))
    assert "bacl" not in text


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("short_side", [20, 61, 150])
def test_a_printed_program_resizes_as_the_test_does(tmp_path, antialias, short_side):
    """On noise, of which every wrong filter makes another picture."""
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    transform = ResizeShortSide([short_side], 1000, antialias=antialias)
    said = preprocessing(transform, None)
    notes = {"preprocessing": said, "postprocessing": {"mask_threshold": None}}
    text = snippet("onnx", tmp_path / "x.onnx", notes, path)
    begin = text.index("picture = ")
    names = {"notes": notes}
    exec(
        "import numpy as np\nfrom PIL import Image, ImageOps\n"
        + text[begin : text.index("images = ")],
        names,
    )
    expected = transform(decode_image(str(path))).numpy()
    assert names["pixels"].shape == expected.shape
    assert np.abs(names["pixels"].astype(int) - expected.astype(int)).max() <= 1
