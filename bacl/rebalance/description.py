"""dump.json: what a dump is made of.

C: categories. D: width of a feature.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from bacl.files.atomic import replacing, telling_unreadable
from bacl.messages.errors import UserError

FORMAT = 1
FILE = "dump.json"
Rule = Literal["softmax", "sigmoid"]


class DumpError(UserError, ValueError):
    """A dump is missing, damaged, or one of something else."""


@dataclass(frozen=True)
class Split:
    """Images of a dump in order, cut into shards."""

    images: list[int]
    """Ids, of the annotation file."""
    sizes: list[tuple[int, int]]
    """Height and width of each image's file, in pixels."""
    shard: int
    """Images of a shard; the last may have fewer."""

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-len(self.images) // self.shard)

    def of_shard(self, number: int) -> range:
        """Places of a shard's images."""
        return range(len(self.images))[number * self.shard : (number + 1) * self.shard]


@dataclass(frozen=True)
class Description:
    """Content of dump.json."""

    categories: list[tuple[int, str]]
    """Id and name of each category, by ascending id: their places are the labels."""
    image_counts: list[int]
    """Training images of each category."""
    instance_counts: list[int]
    """Training objects of each category."""
    feature_dim: int
    """D."""
    rule: Rule
    """From logits to scores: a softmax over the categories and background, the last of C + 1; or
    a sigmoid of each of C."""
    splits: Mapping[str, Split]
    """`train` and `val`."""
    source: Mapping[str, Any]
    """What it was made of: toolkit, versions, the digest of the checkpoint, options."""
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write dump.json as a whole.

        Raises:
            DumpError: the folder holds a dump of something else.
        """
        path = folder / FILE
        if path.exists():
            self._check_same(self.read(folder), path)
            return
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What dump.json says.

        Raises:
            DumpError: there is none, or it is no such file.
        """
        path = folder / FILE
        if not path.is_file():
            raise DumpError(f"{path}: no such file; it is what a dump is described by")
        with telling_unreadable(path):
            text = path.read_bytes()
        try:
            found = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "content"
            raise DumpError(f"{path}: {place}: {first['msg']}; see docs/rebalance.md") from error
        found.check(path)
        return found

    def check(self, path: Path) -> None:
        """Refuse counts and splits that do not go together.

        Raises:
            DumpError: names what is wrong.
        """
        wrong = {
            f"format is {self.format}, and this version reads {FORMAT}": self.format != FORMAT,
            "counts are not as many as the categories": not (
                len(self.categories) == len(self.image_counts) == len(self.instance_counts)
            ),
            "splits are not `train` and `val`": set(self.splits) != {"train", "val"},
            "a split has other numbers of images and sizes, or no shards": any(
                len(each.images) != len(each.sizes) or each.shard < 1 or not each.images
                for each in self.splits.values()
            ),
            "a split names an image twice": any(
                len(set(each.images)) != len(each.images) for each in self.splits.values()
            ),
        }
        if told := [text for text, is_wrong in wrong.items() if is_wrong]:
            raise DumpError(f"{path}: {'; '.join(told)}")

    def _check_same(self, earlier: "Description", path: Path) -> None:
        mine, theirs = (json.loads(json.dumps(asdict(each))) for each in (self, earlier))
        changed = [key for key in mine if mine[key] != theirs[key]]
        if changed:
            told = ", ".join(_differing(key, mine[key], theirs[key]) for key in changed)
            raise DumpError(
                f"{path.parent} holds a dump of something else ({told}): name another "
                "rebalance.dump=…, or delete the folder"
            )


def _differing(name: str, mine: Any, theirs: Any) -> str:
    """The name of what differs, and of which part of it."""
    if not (isinstance(mine, dict) and isinstance(theirs, dict)):
        return name
    keys = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
    return f"{name}.{'/'.join(keys)}"
