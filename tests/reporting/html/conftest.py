"""A made run with hostile names, and its page."""

from pathlib import Path

import pytest

from bacl.reporting.html.contents import write_page
from bacl.reporting.html.section import Source
from tests.reporting.html.made import made_data, made_source, rename

NAMES = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "-->{{7*7}}${x}",
    "gpj.\u202eexe",
    "猫 & собака",
    "x" * 500,
    "two\nlines",
]
HEADS = {"baseline": 0.5, "<b>bold</b>": 0.9, "third": 0.7}


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Source:
    folder = tmp_path_factory.mktemp("made")
    paths = made_data(folder / "data", categories=60, train=90, val=30)
    rename(paths, NAMES)
    return made_source(folder / "run", paths, HEADS)


@pytest.fixture(scope="session")
def page(made) -> Path:
    path = made.folder / "report.html"
    write_page(path, "A <run>", made)
    return path
