"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WITH_EXAMPLES = [
    ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
    for file in sorted(REPOSITORY.glob("bacl/**/*.py"))
    if ">>> " in file.read_text(encoding="utf-8")
]


def test_examples_are_found():
    assert "bacl.messages.shown" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of(name):
    found = doctest.testmod(importlib.import_module(name))  # prints what differs
    assert found.attempted > 0
    assert found.failed == 0
