"""What the documents link to and name is there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
]
PLACES = (REPOSITORY, REPOSITORY / "bacl", REPOSITORY / "tests")


def read(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", read(document))
    around = (REPOSITORY / document).parent
    assert [link for link in links if not (around / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_files_exist(document):
    spans = re.findall(r"`([\w./*-]+/[\w.*-]+\.(?:py|yaml|md))`", read(document))
    named = {span for span in spans if "yours" not in span}
    assert {name for name in named if not any([*place.glob(name)] for place in PLACES)} == set()
