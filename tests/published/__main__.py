"""Prints how far our numbers are from those of the published code.

Run: python -m tests.published [--all]   (--all: every quantity, not only the worst)
"""

import argparse
from collections.abc import Iterable

from tests.published.difference import Difference
from tests.published.groups import GROUPS
from tests.published.recorded import FOLDER, NotRecordedError


def main() -> None:
    """One row per file and measure: the largest difference of all that were recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="a row for every quantity")
    every = parser.parse_args().all
    print(f"Recorded numbers: {FOLDER.name}\n")
    print("| what | numbers | largest difference | tolerance | where |\n|---|---:|---:|---|---|")
    for name, compare in GROUPS.items():
        try:
            rows = list(compare())
        except NotRecordedError as error:
            print(f"| {name} | | not recorded here: {error} | | |")
            continue
        for alike in [[row] for row in rows] if every else _alike(rows):
            print(_row(name, alike))


def _alike(rows: Iterable[Difference]) -> list[list[Difference]]:
    """Rows that are measured alike together."""
    kinds: dict[tuple[str, float], list[Difference]] = {}
    for row in rows:
        kinds.setdefault((row.unit, row.tolerance), []).append(row)
    return list(kinds.values())


def _row(group: str, rows: list[Difference]) -> str:
    worst = max(rows, key=lambda row: row.value)
    tolerance = f"{worst.tolerance:g} {worst.unit}"
    verdict = "" if all(row.agrees for row in rows) else "**differs** "
    where = worst.quantity if worst.value else "all"
    return f"| {group} | {len(rows)} | {worst.value:.1e} | {tolerance} | {verdict}{where} |"


if __name__ == "__main__":
    main()
