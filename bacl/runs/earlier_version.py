"""The record of a run that an earlier version began, read as one of today."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, open_dict

from bacl.assembly.as_before import as_before
from bacl.files.plain_values import MISSING, select
from bacl.options.composed import changes
from bacl.options.later import compared as versions_of
from bacl.options.later import completed

TOLD = 5
MENDS = "give this one another name=…, or delete the folder"


@dataclass(frozen=True)
class Record:
    """What a run was recorded to be made of, and whether a command may go on with it."""

    config: dict[str, Any]
    """With the options that it did not know, as they were before there were any such."""
    later: Mapping[str, Any]
    """By path, what these are."""
    refusal: str
    """Why it is another run than the command's, with the mend; empty if it is the same."""

    @property
    def told(self) -> str:
        """A line about the options that it did not know."""
        return _listed(f"{path}={value}" for path, value in self.later.items())


def read_record(
    recorded: dict[str, Any], now: dict[str, Any], overrides: Sequence[str] = ()
) -> Record:
    """Compare a run's record with the configuration of a command.

    An option that the record does not know is read as if it had been there by default. So a run
    goes on, unless the command asks for something else, or the record has an option that there
    is no more.

    Args:
        recorded: plain values.
        now: plain values of the command.
        overrides: of the command.
    """
    versions = versions_of(recorded, now)
    later = as_before(versions.later, overrides) if versions.later else {}
    known = {path: value for path, value in later.items() if value is not MISSING}
    read = completed(recorded, known)
    asked = {path for path, value in later.items() if value != versions.later[path]}
    refusal = _refusal(changes(read, now), asked, set(versions.gone))
    return Record(read, known, refusal)


def decided_alike(config: DictConfig, recorded: Any) -> DictConfig | None:
    """A command's configuration with what a run fills in, as its data decided it when it began.

    Args:
        config: is not changed.
        recorded: of the run; None is returned where it does not say it.
    """
    content, num_classes = (select(recorded, f"data.{x}") for x in ("content", "num_classes"))
    if not isinstance(content, str) or not isinstance(num_classes, int):
        return None
    now = config.copy()
    with open_dict(now):
        now.data.content = content
        if now.data.num_classes is None:
            now.data.num_classes = num_classes
    return now


def _refusal(changed: Sequence[str], asked: set[str], gone: set[str]) -> str:
    if not changed:
        return ""
    if not _all_of(changed, asked | gone):
        return f"holds a run of another configuration ({_listed(changed)}): {MENDS}"
    if not gone:
        return (
            f"holds a run that began before there was {_listed(sorted(asked))}, and so without "
            f"what this command asks for ({_listed(changed)}): leave it as it is by default to go "
            f"on with that run; else {MENDS}"
        )
    return (
        f"holds a run of another version, with options that there are no more "
        f"({_listed(sorted(gone))}): go on with the version that began it (environment.json names "
        f"its commit); else {MENDS}"
    )


def _all_of(changed: Iterable[str], paths: set[str]) -> bool:
    """Whether all texts of changes are of these options."""
    return all(any(text.startswith((f"{x}: ", f"{x}.")) for x in paths) for text in changed)


def _listed(texts: Iterable[str]) -> str:
    texts = list(texts)
    more = f"; and {len(texts) - TOLD} more" if len(texts) > TOLD else ""
    return "; ".join(texts[:TOLD]) + more
