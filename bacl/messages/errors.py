"""What a user can mend is told in one message; everything else is a defect with a traceback."""

BUSY = 75
"""Exit status of a command that found another at work: nothing is wrong, try again later."""


class UserError(Exception):
    """A mistake in data, options or surroundings, which its message names with the mend."""

    exit_status = 1


class OptionError(UserError, ValueError):
    """An option has a value that makes no sense."""


def require(option: str, value: object, low: float, high: float = float("inf")) -> None:
    """Refuse an option that is no number in [low, high].

    Raises:
        OptionError: names option, value and range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]
        upper = f" and at most {high:g}" if high < float("inf") else ""
        raise OptionError(f"{option}={value!r}: expected a number of at least {low:g}{upper}")


def in_one_line(error: BaseException) -> str:
    """What an error of a library says, without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def user_error(error: BaseException | None) -> UserError | None:
    """The `UserError` that an error of a library comes from, if it does."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error
