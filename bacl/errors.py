"""What a user can mend is told in one message; everything else is a defect with a traceback."""


class UserError(Exception):
    """A mistake in data, options or surroundings, which its message names with the mend."""
