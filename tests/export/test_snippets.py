import ast

import pytest

from bacl.export.snippets import RUNTIMES, snippet


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("size", [None, [96, 128]])
@pytest.mark.parametrize("resize", [None, {"short_side": 96, "max_size": 96}])
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
