"""How far our numbers are from recorded ones."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Difference:
    """One recorded quantity."""

    quantity: str
    value: float
    tolerance: float
    unit: str

    @property
    def agrees(self) -> bool:
        """Whether it is within the tolerance; NaN never is."""
        return self.value <= self.tolerance


def exact(quantity: str, ours: Tensor, theirs: Tensor) -> Difference:
    """How many values are not equal."""
    _same_shape(quantity, ours, theirs)
    return Difference(quantity, float((ours != theirs).sum()), 0, "unequal values")


def relative(quantity: str, ours: Tensor, theirs: Tensor, tolerance: float = 1e-4) -> Difference:
    """Largest difference, in units of the largest recorded value."""
    _same_shape(quantity, ours, theirs)
    if ours.numel() == 0:
        return Difference(quantity, 0.0, tolerance, "of the largest")
    difference = (ours.double() - theirs.double()).abs().max()
    largest = theirs.double().abs().max()
    value = difference / largest if largest > 0 else difference
    return Difference(quantity, value.item(), tolerance, "of the largest")


def absolute(
    quantity: str, ours: Tensor, theirs: Tensor, tolerance: float, unit: str
) -> Difference:
    """Largest difference."""
    _same_shape(quantity, ours, theirs)
    value = (ours.double() - theirs.double()).abs().max().item() if ours.numel() else 0.0
    return Difference(quantity, value, tolerance, unit)


def _same_shape(quantity: str, ours: Tensor, theirs: Tensor) -> None:
    if ours.shape != theirs.shape:
        raise AssertionError(f"{quantity}: {tuple(ours.shape)}, recorded {tuple(theirs.shape)}")
