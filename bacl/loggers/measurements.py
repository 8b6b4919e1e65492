"""What is measured while a run goes on, and the names that loggers have for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a run measures again and again, of one head or of what all heads share."""

    section: str
    """What it tells of: "train", "val", "classifier", "speed"; empty for Lightning's own."""
    head: str | None
    """The classifier head that it is of."""
    part: str
    """Such as "rpn_box", "classification" or "AP50"."""

    @property
    def name(self) -> str:
        """In loggers: `<section>/<head>/<part>`, or `<section>/<part>`.

        >>> Quantity("val", "bacl", "segm/AP").name, Quantity("train", None, "rpn_box").name
        ('val/bacl/segm/AP', 'train/rpn_box')
        """
        return "/".join(each for each in (self.section, self.head, self.part) if each)

    @classmethod
    def named(cls, name: str) -> Self:
        """That of a logger's name; names of heads have no slash.

        >>> Quantity.named("val/bacl/segm/AP")
        Quantity(section='val', head='bacl', part='segm/AP')
        """
        section, _, rest = name.rpartition("/") if name.count("/") < 2 else name.partition("/")
        head, _, part = rest.partition("/")
        return cls(section, head, part) if part else cls(section, None, rest)

    def __str__(self) -> str:
        """Without the section, where that goes without saying."""
        return f"{self.head}/{self.part}" if self.head else self.part


def named(values: Mapping[Quantity, Value]) -> dict[str, Value]:
    """The values by the names that loggers have for them."""
    return {quantity.name: value for quantity, value in values.items()}
