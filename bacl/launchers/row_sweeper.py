"""A sweep over the rows of the paper's tables."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override


class RowSweeper(BasicSweeper):
    """Makes a job of every row of every table, times what the command line sweeps over.

    Rows that occur in several tables are one job.

    Args:
        max_batch_size: as `BasicSweeper`.
        params: as `BasicSweeper`.
        tables: by name; `rows` of a table is a list of which each has its overrides in `set`.
    """

    def __init__(
        self,
        max_batch_size: int | None,
        params: dict[str, str] | None,
        tables: Mapping[str, Any],
    ) -> None:
        super().__init__(max_batch_size, params)
        rows = chain(*[table["rows"] for table in tables.values()])
        self.rows = list(dict.fromkeys(tuple(row["set"]) for row in rows))

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Batches of jobs; a job does not know of the sweep that it belongs to."""
        outside = [override for override in overrides if not is_sweep(override.key_or_group)]
        (jobs,) = super().split_arguments(outside, None)
        jobs = [[*job, *row] for job in jobs for row in self.rows]
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Composes nothing: the launcher composes every job before any of them runs."""
        print(f"composing {len(batch)} jobs", flush=True)


def is_sweep(key: str) -> bool:
    """Whether an override chooses or changes a sweep."""
    return key == "sweep" or key.startswith("sweep.")
