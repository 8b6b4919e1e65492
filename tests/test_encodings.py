"""Texts are UTF-8 wherever they are written and read, whatever the locale says."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bacl.messages.shown import visible

REPOSITORY = Path(__file__).parents[1]
OPENING = {"open", "read_text", "write_text", "TextIOWrapper", "NamedTemporaryFile"}
NOT_TEXT = {"AnnotationTable", "Image", "opener", "urllib", "webbrowser", "cls", "request", "os"}
"""What has an `open` of another meaning."""


def calls_without_encoding(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            options = {option.arg: option.value for option in node.keywords}
            if "encoding" not in options and (_opens_text(node, options) or "text" in options):
                yield node.lineno


def _opens_text(node: ast.Call, options: dict[str | None, ast.expr]) -> bool:
    function = node.func
    name, owner = getattr(function, "attr", ""), getattr(function, "value", None)
    builtin = isinstance(function, ast.Name) and function.id == "open"
    parts = [part for value in [*node.args, *options.values()] for part in ast.walk(value)]
    binary = any(getattr(part, "value", None) in ("rb", "wb", "ab", "r+b") for part in parts)
    other = getattr(owner, "id", "") in NOT_TEXT
    return (builtin or (name in OPENING and not other)) and not binary


def test_the_check_finds_what_leaves_it_to_the_locale():
    assert list(calls_without_encoding("path.open()\nopen(x, 'w')\nopen(x, 'rb')")) == [1, 2]
    assert list(calls_without_encoding("run(x, text=True)\nrun(x, encoding='utf-8')")) == [1]
    assert list(calls_without_encoding("p.read_text()\np.write_text(x, encoding='utf-8')")) == [1]


def test_every_text_file_is_opened_with_its_encoding():
    files = [REPOSITORY / "run.py"]
    for folder in ("bacl", "hydra_plugins"):
        files += (REPOSITORY / folder).rglob("*.py")
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in files
        for line in calls_without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_what_tests_read_from_processes_is_utf_8():
    files = [*(REPOSITORY / "tests").rglob("*.py"), *(REPOSITORY / "benchmarks").rglob("*.py")]
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in files if path != Path(__file__)
    }
    assert not [name for name, text in texts.items() if "text=" + "True" in text]


def test_what_the_terminal_cannot_show_is_escaped_and_ends_nothing():
    script = (
        "from bacl.messages.shown import accept_all_letters; accept_all_letters(); import sys; "
        r"print('\u732b \udce9'); print('\u732b', file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )
    assert ended.stdout.split() == [rb"\u732b", rb"\udce9"]
    assert ended.stderr.split() == [rb"\u732b"]


def test_whatever_would_act_on_a_terminal_or_page_becomes_visible():
    assert visible("a\x1b[31m\t\0\r\x9b") == r"a\x1b[31m\t\x00\r\x9b"
    assert visible("gpj.\u202eexe \u2028 \ud83d") == r"gpj.\u202eexe \u2028 \ud83d"
    for kept in (
        "猫 собака",
        "e\u0301",
        "\U0001f469\u200d\U0001f52c",
        "می\u200cخواهم",
        r"US$ \foo $",
    ):
        assert visible(kept) == kept
